// muskrat produce: one run of a scheduled source now, and what came of it.
#include "relay/scheduled/produce.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/progress.hpp"
#include "cli/state_place.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/duration.hpp"
#include "common/log.hpp"
#include "common/utc_text.hpp"
#include "relay/scheduled/reader.hpp"
#include "relay/sources.hpp"

namespace muskrat::cli {
namespace {

// A relay waits for its broker for ever; a person, or the script that called us, does not.
constexpr auto patience = std::chrono::seconds(60);

milliseconds took(const RunCounts& counts) {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - counts.started);
}

int64_t rate(const RunCounts& counts) { return counts.read * 1000 / std::max<int64_t>(1, took(counts).count()); }

json::Object counts_json(const RunCounts& counts, const std::string& state) {
  json::Object object;
  object.add("state", state).add("pages", counts.pages).add("read", counts.read).add("sent", counts.sent);
  object.add("deleted", counts.deleted);
  object.add("repeated", counts.repeated).add("filtered", counts.filtered);
  object.add("held", counts.held).add("released", counts.released).add("holding", counts.holding);
  if (counts.expected) object.add("expected", *counts.expected);
  return std::move(object.add("ms", took(counts).count()));
}

class Produce : public Command {
 public:
  explicit Produce(Arguments& arguments) {
    arguments.positional("SOURCE", source_, "The source's name in the configuration; one that runs on a schedule.");
    arguments.text("--since", "FROM", since_,
                   "Read from here on, in place of where the last run ended, and send it whether it was sent before or "
                   "not: 2h, 3d (ago), a time, or a value of the cursor.");
    arguments.flag("--dry-run", dry_run_, "Read and map, and say what would be sent; send and remember nothing.");
    arguments.flag("--json", json_, "JSON objects, one a line: the progress, the end.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    const Component& source = find_component(config.sources, source_, "source");
    if (kind_of(source).reader == nullptr)
      throw UsageError("the source " + source.name + " is of kind " + source.kind +
                       ", which says what happens when it happens; only sources with a schedule can be run once");
    warn_of_relative_relay_state(config.relay);
    // What it has to say it says itself, at the end.
    log::start(log::Level::error, log::Format::automatic);
    Stop stop;
    SignalThread signals(stop);
    Progress progress(json_);
    const auto watch = [&](const RunCounts& counts, const std::string& trouble) {
      lose_patience(trouble);
      progress.show([&] { return line(counts, trouble); }, [&] { return counts_json(counts, "running"); });
    };
    const Produced produced = [&] {
      try {
        return produce({config, source, stop, watch}, {dry_run_, since()});
      } catch (const BrokenPipe&) {
        throw BrokenPipe{"The run was given up; the next one goes on from the cursor, with the same ids."};
      }
    }();
    progress.end();
    print(json_ ? end_json(produced) : end_text(produced));
    if (!produced.failure.empty()) return exit_failure;
    return produced.stopped ? exit_problems : exit_ok;
  }

 private:
  std::optional<std::string> since() const {
    if (since_.empty()) return std::nullopt;
    if (since_.find_first_not_of("0123456789") == since_.npos) return since_;
    const auto ago = parse_duration(since_);
    return ago ? utc_text(wall_clock_us() - ago->count() * 1000) : since_;
  }

  void lose_patience(const std::string& trouble) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (trouble.empty() || trouble_since_ == SteadyTime{}) trouble_since_ = now;
    if (now - trouble_since_ > patience) throw Failure(Remedy::reconnect, trouble);
  }

  static std::string line(const RunCounts& counts, const std::string& trouble) {
    std::string text = fmt::format("{} read in {}, {} sent, {}/s", counted(static_cast<size_t>(counts.read), "record"),
                                   counted(static_cast<size_t>(counts.pages), "page"), counts.sent, rate(counts));
    if (counts.expected) text += ", of about " + std::to_string(*counts.expected);
    return trouble.empty() ? text : text + "; waits: " + harmless(trouble);
  }

  std::string end_text(const Produced& produced) const {
    const RunCounts& counts = produced.counts;
    std::string text = "Run of " + source_ + (dry_run_ ? ", dry" : "") + "\n";
    text += fmt::format("  read     {} in {}, {} ({}/s)\n", counted(static_cast<size_t>(counts.read), "record"),
                        counted(static_cast<size_t>(counts.pages), "page"), span_text(took(counts)), rate(counts));
    text += fmt::format("  {} {}\n", dry_run_ ? "to send " : "sent    ",
                        counted(static_cast<size_t>(counts.sent), "event") + deletions(counts) +
                            (dry_run_ ? "" : ", confirmed by the broker"));
    text += fmt::format("  skipped  {} that were sent before, {} that the mapping leaves out\n", counts.repeated,
                        counts.filtered);
    text += held(counts);
    text += "  cursor   " + shown(produced.before) + (dry_run_ ? ", stays" : " -> " + shown(produced.after)) + "\n";
    if (produced.stopped) text += "Stopped before its end: the next run goes on from that cursor.\n";
    if (!produced.failure.empty())
      text += coloured(Colour::red, "Failed: " + harmless(produced.failure)) +
              "\nThe cursor stands where the broker confirmed; the next run goes on from there.\n";
    return text;
  }

  static std::string deletions(const RunCounts& counts) {
    std::string text = counts.deleted == 0 ? "" : fmt::format(" ({} of deleted rows)", counts.deleted);
    return text + (counts.released == 0 ? "" : fmt::format(" ({} of records held before)", counts.released));
  }

  std::string held(const RunCounts& counts) const {
    std::string text;
    if (counts.held > 0) {
      text += fmt::format("  {} {} of which no event can be made:\n", dry_run_ ? "to hold " : "held    ",
                          counted(static_cast<size_t>(counts.held), "record"));
      for (const auto& [why, count] : counts.held_why)
        text += fmt::format("             {} × {}\n", count, harmless(why));
    }
    if (counts.holding > 0 && !dry_run_)
      text += coloured(Colour::yellow, fmt::format("  {} held in all", counts.holding)) + ": muskrat held list " +
              source_ + "; each run tries them again\n";
    return text;
  }

  static std::string shown(const std::string& cursor) { return cursor.empty() ? "none" : harmless(cursor); }

  std::string end_json(const Produced& produced) const {
    const char* state = !produced.failure.empty() ? "failed" : produced.stopped ? "stopped" : "done";
    json::Object object = counts_json(produced.counts, state);
    std::vector<json::Object> reasons;
    for (const auto& [why, count] : produced.counts.held_why)
      reasons.push_back(std::move(json::Object().add("why", why).add("records", count)));
    object.add("held_why", reasons);
    object.add("dry_run", dry_run_).add("cursor_before", produced.before).add("cursor", produced.after);
    produced.failure.empty() ? object.add_null("failure") : object.add("failure", produced.failure);
    return object.text() + "\n";
  }

  std::string source_, since_;
  bool dry_run_ = false, json_ = false;
  SteadyTime trouble_since_{};
};

}  // namespace

std::unique_ptr<Command> make_produce(Arguments& arguments) { return std::make_unique<Produce>(arguments); }

}  // namespace muskrat::cli

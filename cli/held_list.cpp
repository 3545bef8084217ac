// muskrat held list: the records of which no event can be made, and why.
#include <map>

#include "cli/context.hpp"
#include "cli/event_text.hpp"
#include "cli/exit.hpp"
#include "cli/held_source.hpp"
#include "cli/state_place.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/json.hpp"

namespace muskrat::cli {
namespace {

class HeldList : public Command {
 public:
  explicit HeldList(Arguments& arguments) {
    arguments.optional_positional("SOURCE", source_,
                                  "The source's name in the configuration (default: each one with a schedule).");
    arguments.flag("--json", json_, "One JSON object per record.");
    arguments.flag("--body", body_, "Show the records too: customers' data.");
    arguments.number("-n,--limit", "N", limit_, 0, 100'000,
                     "Most to list of each source (default 100); all are counted.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    if (source_.empty()) {
      for (const Component& source : config.sources)
        if (runs_on_a_schedule(source)) list(config, source);
    } else {
      list(config, find_component(config.sources, source_, "source"));
    }
    warn_of_relative_relay_state(config.relay);
    return exit_ok;
  }

 private:
  void list(const Config& config, const Component& source) const {
    const auto state = held_state(config, source);
    std::map<std::string, size_t> reasons;
    Table table({"NUMBER", "HELD SINCE", "KEY", "WHY"});
    std::string bodies;
    size_t all = 0;
    if (state)
      each_held(*state, [&](const HeldRecord& held) {
        ++reasons[held.why];
        if (++all > static_cast<size_t>(limit_)) return;
        if (json_) return print(line(source, held) + "\n");
        table.add({std::to_string(held.seq), iso_time(held.held_us), held.key.empty() ? "-" : harmless(held.key),
                   harmless(held.why)});
        if (body_) bodies += std::to_string(held.seq) + "  " + harmless(held.record.body) + "\n";
      });
    if (json_) return;
    print("The source " + source.name + " holds " + (all == 0 ? "no record" : counted(all, "record")) + ".\n");
    for (const auto& [why, count] : reasons) print("  " + std::to_string(count) + " × " + harmless(why) + "\n");
    if (all == 0) return;
    if (!table.empty()) print(table.text() + bodies);
    if (all > static_cast<size_t>(limit_)) print("Shown: " + std::to_string(limit_) + "; --limit shows more.\n");
    print("Each run begins with them: mend the mapping, then muskrat produce " + source.name + ".\n");
  }

  std::string line(const Component& source, const HeldRecord& held) const {
    json::Object object;
    object.add("source", source.name).add("number", held.seq).add("since", iso_time(held.held_us));
    object.add("op", std::string(op_name(held.record.op))).add("key", held.key).add("why", held.why);
    // What is no JSON stands as text, and so does all else: it is shown as it came.
    if (body_) object.add("record", held.record.body);
    return object.text();
  }

  std::string source_;
  bool json_ = false, body_ = false;
  int64_t limit_ = 100;
};

}  // namespace

std::unique_ptr<Command> make_held_list(Arguments& arguments) { return std::make_unique<HeldList>(arguments); }

}  // namespace muskrat::cli

// The endpoint kind `exec`: a program in any language that reads events and writes results, a line each; see
// docs/endpoints.md.
//
// A batch is written to the child; it answers each event, in any order, by message_id. What it answered is settled.
// When it dies, hangs, or writes what is no result, it is restarted, and the events that it has not answered come
// again, one at a time, so that an event over which it fails always becomes a dead letter and holds up no other.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>

#include "common/child.hpp"
#include "common/document_mapping.hpp"
#include "common/json.hpp"
#include "common/log.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/endpoints/event_line.hpp"
#include "consumer/endpoints/results.hpp"
#include "consumer/state/guarded.hpp"

namespace muskrat {
namespace {

constexpr unsigned lone_failures_most = 3;

class ExecEndpoint : public Endpoint {
 public:
  explicit ExecEndpoint(const Component& component)
      : settings_(component.settings), name_(component.name), mapping_(component.settings) {}

  void connect(Deadline) override {
    child_.reset();
    child_ = std::make_unique<Child>(options());
  }

  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override {
    std::vector<Outcome> outcomes(batch.size(), Outcome::untried("not tried yet: the program failed before"));
    settled_ = lone_failures_ = 0;
    if (!careful_) {
      exchange(batch, outcomes, deadline);
      return outcomes;
    }
    for (size_t i = 0; i < batch.size() && !deadline.passed(); ++i) {
      exchange(batch.subspan(i, 1), std::span(outcomes).subspan(i, 1), deadline);
      if (lone_failures_ >= lone_failures_most) return outcomes;
    }
    careful_ = lone_failures_ > 0;
    return outcomes;
  }

 private:
  ChildOptions options() const {
    ChildOptions options;
    options.argv = settings_.texts("command");
    options.folder = settings_.text("folder");
    options.name = name_;
    options.line_bytes = static_cast<size_t>(settings_.bytes("line_bytes"));
    for (const std::string& name : settings_.texts("environment"))
      if (const char* value = std::getenv(name.c_str())) options.environment.push_back(name + "=" + value);
    if (const char* path = std::getenv("PATH")) options.environment.push_back(std::string("PATH=") + path);
    options.environment.emplace_back("LC_ALL=C.UTF-8");
    return options;
  }

  // Hands the events over and takes their results. After a failure the next delivery goes one by one: an event over
  // which the program fails alone has failed itself, unless several do on end.
  void exchange(std::span<const Event* const> events, std::span<Outcome> outcomes, Deadline deadline) {
    open_.clear();
    try {
      // what is left over belongs to nobody, or it has died while nothing was asked of it
      if (!child_ || child_->ended()) connect(deadline);
      for (size_t i = 0; i < events.size(); ++i) hand_over(*events[i], outcomes[i]);
      while (!open_.empty()) read_result(deadline);
      lone_failures_ = 0;
    } catch (const Failure& failure) {
      if (child_) child_->kill_now();
      child_.reset();
      const bool alone = careful_ && events.size() == 1;
      careful_ = true;
      if (!alone && settled_ == 0) throw;
      for (const auto& [id, outcome] : open_)
        *outcome = alone ? Outcome::retry(failure.what()) : Outcome::untried(failure.what());
      if (alone) ++lone_failures_;
    }
  }

  void hand_over(const Event& event, Outcome& outcome) {
    const Mapped mapped = mapping_.apply(event);
    if (mapped.state == Mapped::State::failed) {
      outcome = Outcome::dead(mapped.text);
    } else if (mapped.state == Mapped::State::skipped) {
      outcome = Outcome::skipped(mapped.text);
    } else if (!open_.emplace(event.message_id, &outcome).second) {
      outcome = Outcome::untried("the batch holds its message_id twice");
    } else {
      child_->send(event_line(event, mapped.text) + "\n");
    }
  }

  void read_result(Deadline deadline) {
    const auto line = child_->line(deadline);
    const std::string program = settings_.texts("command").front();
    if (!line)
      throw Failure(Remedy::reconnect, program + " has not answered " + std::to_string(open_.size()) +
                                           " events within the timeout; killed, and restarted");
    std::string why;
    const auto document = json::Document::parse(*line, why);
    const auto result = document ? muskrat::read_result(document->root(), why) : std::nullopt;
    if (!result || !result->outcome)
      throw Failure(Remedy::reconnect,
                    program + " wrote a line that is no result (" + (why.empty() ? "no result" : why) + "); restarted");
    const auto found = open_.find(result->message_id);
    if (found == open_.end())
      throw Failure(Remedy::reconnect,
                    program + " wrote a result for a message_id that it was not asked about; restarted");
    *found->second = *result->outcome;
    open_.erase(found);
    ++settled_;
  }

  const Settings& settings_;
  const std::string name_;
  const Mapping mapping_;
  std::unique_ptr<Child> child_;
  std::map<std::string, Outcome*, std::less<>> open_;  // not answered yet
  unsigned settled_ = 0, lone_failures_ = 0;           // of this delivery
  bool careful_ = false;                               // since the program last failed: one event at a time
};

constexpr std::array own_options{
    Option{"command", OptionType::text_list, "", "",
           "The program and its arguments, as a list: no shell takes it apart. One process runs for each lane.", true},
    Option{"folder", OptionType::text, "", "", "The working folder of the program. Default: the host's."},
    Option{"environment", OptionType::text_list, "", "",
           "The names of environment variables that the program gets, beside PATH; it gets no other."},
    Option{"line_bytes", OptionType::bytes, "1MiB", "1KiB..64MiB", "The longest line that the program may write."},
    state::guard_option,
    state::guard_key_option,
    state::seen_for_option,
};

OptionTable option_table() {
  static const std::vector<Option> all = joined({own_options, mapping_options()});
  return all;
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_mapping(settings, problems);
  const auto& command = settings.texts("command");
  if (command.empty() || command.front().empty())
    problems.push_back({settings.where("command"), "command: names no program"});
  for (const std::string& name : settings.texts("environment"))
    if (name.empty() || name.find('=') != std::string::npos)
      problems.push_back(
          {settings.where("environment"),
           "environment: \"" + name + "\" is no variable's name; values come from the host's own environment"});
}

std::unique_ptr<Endpoint> make(const Component& component) { return std::make_unique<ExecEndpoint>(component); }

}  // namespace

const EndpointKind& exec_endpoint() {
  static const EndpointKind kind{
      {"exec", "hands events to a program of yours, in any language, and takes its results", option_table(), validate},
      make,
      1,
      true};
  return kind;
}

}  // namespace muskrat

#include "common/jq.hpp"

#include <atomic>
#include <csignal>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <utility>

#include <sys/wait.h>

#include "common/child.hpp"
#include "common/field_source.hpp"
#include "common/jq_evaluator.hpp"
#include "common/jq_numbers.hpp"
#include "common/jq_scan.hpp"
#include "common/json.hpp"

namespace muskrat::jq {
namespace {

constexpr milliseconds patience{
    30'000};                   // the child counts processor time itself; this is for a host that stands still
constexpr unsigned tries = 3;  // when the child was killed from outside
constexpr unsigned runaways_on_end = 3;
constexpr size_t remembered = 10'000;
// To libjq 1.6 an error that is null is the same as nothing, which would skip the event. On the expression's own first
// line, so that its lines keep their numbers.
constexpr const char* errors_are_not_null =
    R"(def error: error(if . == null then "jq raised an error that is null" else . end); def error(f): f | error; )";

std::atomic<bool> can_evaluate = false;

using Answer = std::pair<char, std::string>;
constexpr char stopped = 'x';  // beside the evaluator's own: it ended over this

// What ended it, when that was the expression; "" when somebody else did.
std::string blame(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == exit_memory)
    return "jq took more than 256 MiB of memory and was stopped";
  if (!WIFSIGNALED(status)) return {};
  switch (WTERMSIG(status)) {
    case SIGPROF:
      return "jq ran for more than " + std::to_string(processor_seconds) + " s of processor time and was stopped";
    case SIGABRT:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
      return "jq crashed over it (signal " + std::to_string(WTERMSIG(status)) + ")";
    default:
      return {};
  }
}

// This thread's evaluator.
class Evaluator {
 public:
  Answer ask(const std::string& line) {
    for (unsigned n = 0; n < tries; ++n) {
      if (auto answer = try_once(line)) return *answer;
    }
    throw Failure(Remedy::reconnect, "the process that runs jq was killed " + std::to_string(tries) +
                                         " times on end, by hand or for want of memory on this machine");
  }
  void end() { child_.reset(); }
  int pid() const { return child_ ? child_->pid() : -1; }

 private:
  // nullopt: it was killed, not by what it was asked.
  std::optional<Answer> try_once(const std::string& line) {
    if (!child_) start();
    child_->send(line);
    std::optional<std::string> answer;
    bool ended = false;
    try {
      answer = child_->line(Deadline::in(patience));
    } catch (const Failure&) {
      ended = true;
    }
    if (answer && !answer->empty()) return Answer{answer->front(), answer->substr(1)};
    const auto child = std::exchange(child_, nullptr);
    if (!ended) {
      child->kill_now();
      throw Failure(
          Remedy::reconnect,
          "jq has not answered for 30 s, though it had no processor time to speak of: the machine stands still");
    }
    const std::string why = blame(child->end());
    return why.empty() ? std::nullopt : std::optional(Answer{stopped, why});
  }

  void start() {
    if (!can_evaluate) throw std::logic_error("main() has not called asked_to_evaluate()");
    ChildOptions options;
    options.argv = {"/proc/self/exe", evaluator_argument};
    options.environment = {"TZ=UTC0", "LC_ALL=C.UTF-8"};
    options.label = "evaluator";
    options.name = "jq";
    options.line_bytes = result_bytes * 2;
    child_ = std::make_unique<Child>(std::move(options));
  }

  std::unique_ptr<Child> child_;
};

Evaluator& evaluator() {
  thread_local Evaluator one;
  return one;
}

// What is wrong with a program, asked once: configurations are read again by each lane.
std::string fault_of(const std::string& program) {
  static std::mutex mutex;
  static std::map<std::string, std::string> known;
  const std::lock_guard lock(mutex);
  const auto found = known.find(program);
  if (found != known.end()) return found->second;
  const auto [what, text] = evaluator().ask("C" + program + "\n");
  return known[program] = what == '=' ? "" : text;
}

// Events over which an expression ran away are not given to it again when the batch comes back, or no batch would ever
// get past them.
class Runaways {
 public:
  std::optional<std::string> known(const std::string& what) const {
    const std::lock_guard lock(mutex_);
    const auto found = why_.find(what);
    return found == why_.end() ? std::nullopt : std::optional(found->second);
  }
  void remember(const std::string& what, const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (why_.size() >= remembered) why_.clear();
    why_[what] = why;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> why_;
};

Runaways& runaways() {
  static Runaways all;
  return all;
}

// Several on end: the expression is at fault, and each costs a second. The events wait, and the endpoint says why.
Result ran_away(const Event& event, const std::string& program, const std::string& why, unsigned& on_end) {
  if (!event.message_id.empty()) runaways().remember(event.message_id + program, why);
  if (++on_end < runaways_on_end || event.message_id.empty()) return {Result::State::failed, why};
  on_end = 0;
  throw Failure(Remedy::reconnect, "event after event, " + why + "; mend the expression in the mapping");
}

std::string with_event(const Event& event, std::string_view input) {
  const auto words = parse_routing_key(event.routing_key).value_or(RoutingKey{});
  json::Object facts;
  facts.add("routing_key", event.routing_key).add("source", words.source).add("object", words.object);
  facts.add("action", words.action).add("op", op_name(event.op)).add("message_id", event.message_id);
  if (event.captured_us != 0)
    facts.add("captured_at", iso_utc(event.captured_us));
  else
    facts.add_null("captured_at");
  facts.add("epoch", event.epoch).add("seq", event.seq);
  return "{\"event\":" + facts.text() + ",\"body\":" + std::string(input) + "}";
}

}  // namespace

Expression::Expression(const std::string& text, std::string& fault) {
  const Scan found = scan(text);
  fault = found.fault;
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) fault = "it is empty";
  if (!fault.empty()) return;
  uses_event_ = found.uses_event;
  // A comment may stand at its end.
  const std::string program =
      json::quote(errors_are_not_null + (uses_event_ ? ".event as $event | .body | (" + text + "\n)" : text));
  fault = fault_of(program);
  if (fault.empty()) program_ = program;
}

Result Expression::apply(const Event& event, std::string_view input) const {
  thread_local unsigned on_end = 0;
  const std::string whole = uses_event_ ? with_event(event, input) : std::string(input);
  if (!all_exact_in_jq(whole))
    return {Result::State::failed,
            "what jq reads holds a number of 2^53 or beyond, or one with more digits than it keeps; give it less with "
            "from"};
  if (auto why = event.message_id.empty() ? std::nullopt : runaways().known(event.message_id + program_))
    return {Result::State::failed, *why};
  auto [what, text] = evaluator().ask("E" + program_ + "\t" + whole + "\n");
  if (what == stopped) return ran_away(event, program_, text, on_end);
  on_end = 0;
  if (what == '=') return {Result::State::value, std::move(text)};
  if (what == '-') return {Result::State::nothing, {}};
  return {Result::State::failed, std::move(text)};
}

bool asked_to_evaluate(int argc, const char* const* argv) {
  can_evaluate = true;
  return argc == 2 && std::string_view(argv[1]) == evaluator_argument;
}

void end_evaluator() { evaluator().end(); }
int evaluator_pid() { return evaluator().pid(); }

}  // namespace muskrat::jq

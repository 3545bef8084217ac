// jq expressions of a mapping: checked when the configuration is loaded, evaluated where they can be stopped.
//
// Used by the field table (`jq` of a rule), conditions (`when: {jq: …}`) and document mappings (`jq`). libjq runs in a
// child process (jq_evaluator.hpp), one for each thread that evaluates, started when it is first needed and again when
// it has ended. Thread rule: an Expression is immutable; apply() is const and reentrant.
// What it does not do: know libjq.
#pragma once

#include <string>
#include <string_view>

#include "common/event.hpp"

namespace muskrat::jq {

struct Result {
  enum class State { value, nothing, failed } state = State::failed;
  std::string text;  // value: JSON; failed: why, without a value of the event
};

class Expression {
 public:
  Expression() = default;  // none
  // `fault` is "" or what is wrong with it, as jq says or because it is refused.
  Expression(const std::string& text, std::string& fault);

  bool given() const { return !program_.empty(); }
  // It looks at $event: another event of the same row could make another value.
  bool asks_for_the_event() const { return uses_event_; }
  // `input`: tight JSON (a value's dump()). `$event` holds the event's facts. An event over which the expression runs
  // away or crashes has failed. Failure{reconnect}: it cannot be evaluated now, whatever the event; or it ran away over
  // one event after the other, and the endpoint had better wait.
  Result apply(const Event& event, std::string_view input) const;

 private:
  std::string program_;  // as a JSON text, as the evaluator takes it
  bool uses_event_ = false;
};

// For main(), first thing: this process is asked to be an evaluator. Where it is not, from now on evaluators can be
// started: they are this same program. Without that call, expressions end in std::logic_error.
bool asked_to_evaluate(int argc, const char* const* argv);

// Ends this thread's evaluator, where a thread that read the configuration will evaluate nothing more.
void end_evaluator();

// The process id of this thread's evaluator, for tests; -1 for none.
int evaluator_pid();

}  // namespace muskrat::jq

#include "cli/verify_delivery.hpp"

#include <functional>

#include "cli/context.hpp"
#include "cli/terminal.hpp"

namespace muskrat::cli {
namespace {

constexpr milliseconds look_again{100};

}  // namespace

std::string VerifyDelivery::settle(Deadline deadline) {
  const std::string position = source_.position();
  const auto wait_for = [&](const std::function<std::string()>& hindrance) {
    for (std::string why = hindrance();; why = hindrance()) {
      if (why.empty() || deadline.passed() || stop_.requested()) return why;
      stop_.wait(look_again);
    }
  };
  if (std::string why = wait_for([&] { return published(position); }); !why.empty()) return why;
  if (std::string why = wait_for([&] { return taken(); }); !why.empty()) return why;
  stop_.wait(grace_);
  return "";
}

std::string VerifyDelivery::published(const std::string& position) {
  const Passed now = source_.passed(position);
  if (now.held > 0)
    return counted(static_cast<size_t>(now.held), "event") + " that the relay holds: see muskrat status";
  if (now.passed) return "";
  return now.relay ? "the relay to publish what was committed" : "a relay: none runs, start muskrat relay";
}

std::string VerifyDelivery::taken() {
  if (!broker_) broker_ = open_broker(config_, "verify", &stop_);
  const auto state = broker_->queue_state(queue_, Deadline::in(answer_time));
  if (!state) throw Failure(Remedy::stop, "the queue " + queue_ + " is not there; run muskrat setup");
  if (state->messages == 0) return "";
  const std::string events = counted(state->messages, "event") + " in the queue " + queue_;
  return state->consumers == 0 ? events + ", which nobody consumes: start muskrat consume" : events;
}

}  // namespace muskrat::cli

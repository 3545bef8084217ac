// The circuit breaker of one endpoint: tells the endpoint's failures from an event's.
//
// Used by consumer/host.cpp. It trips when `after` batches on end failed as a whole (an exception, or every event that
// was tried failed) and nothing succeeded between them; a single event that fails again and again never trips it.
// After a trip the first batch decides: a failure opens it again at once, for longer; a success closes it.
// Pure but for the jitter. Thread rule: one owner.
#pragma once

#include <set>
#include <string>

#include "common/backoff.hpp"
#include "common/clock.hpp"

namespace muskrat {

class Circuit {
 public:
  Circuit(unsigned after, milliseconds first, milliseconds most) : after_(after), backoff_(first, most) {}

  // The endpoint took something, or judged an event (a dead letter is a judgement): it works.
  void succeeded();
  // deliver() threw.
  void threw() { ++failures_; }
  // Every event of a batch that was tried failed; `message_id` is one of them. Counts only when distinct events fail.
  void failed(const std::string& message_id);

  bool tripped() const { return failures_ >= (probing_ ? 1 : after_); }
  // Opens it: how long to stay away. The next failure trips again.
  milliseconds open();
  bool probing() const { return probing_; }

 private:
  unsigned after_;
  unsigned failures_ = 0;
  bool probing_ = false;
  std::set<std::string> failing_;
  Backoff backoff_;
};

}  // namespace muskrat

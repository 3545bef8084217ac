// How much may go in any span of a given length: "100 calls per 20s" lets no 101st through within 20 s of the first,
// wherever the span begins.
//
// Used by call_gate.cpp, one RateWindow for each configured rate. It remembers what went within the last period, in at
// most some 64 portions, each of which counts until its youngest has left the period: up to 2 % of the period late, and
// never early. What goes in one piece and is more than `count` waits for an empty window.
// Pure: time is handed in, from the monotonic clock alone. Thread rule: one owner.
#pragma once

#include <deque>

#include "consumer/limits/amount.hpp"

namespace muskrat::limits {

class RateWindow {
 public:
  explicit RateWindow(const Amount& amount) : amount_(amount) {}

  const Amount& amount() const { return amount_; }
  // When `n` more may go; `now` when they may at once.
  SteadyTime opens_at(int64_t n, SteadyTime now);
  void take(int64_t n, SteadyTime now);
  // More than half of it was used at once not longer ago than a period: what goes now may be missed later.
  bool scarce(SteadyTime now) const { return now < scarce_until_; }

 private:
  struct Portion {
    SteadyTime first, last;
    int64_t n;
  };
  void forget(SteadyTime now);

  Amount amount_;
  std::deque<Portion> portions_;
  int64_t inside_ = 0;
  SteadyTime scarce_until_{};
};

}  // namespace muskrat::limits

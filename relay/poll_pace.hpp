// When the relay looks for new events while little happens, and when it asks to be rung.
//
// After a read that found nothing it looks again at 1, 2, 4 … ms. When the source has
// been quiet for a few of these it wants the bell: from then on writers NOTIFY. Since a
// writer may have looked at the bell just before it was set, and becomes visible only
// later, the 1, 2, 4 … ms begin anew, up to the poll interval; a lost ring costs about
// one commit's length. When the source is busy again the bell is put away, for a ring
// in every commit is a lock in every commit.
//
// Used by OutboxLeader. Pure: time comes in. Thread rule: one owner.
#pragma once

#include <algorithm>

#include "common/clock.hpp"

namespace muskrat {

class PollPace {
 public:
  PollPace(milliseconds longest, bool has_bell) : longest_(longest), has_bell_(has_bell) {}

  bool due(SteadyTime now) const { return now >= next_; }
  SteadyTime next() const { return next_; }
  bool bell_set() const { return bell_; }

  // A read found events: read again at once. True when the bell is to be put away.
  bool found(SteadyTime now) {
    next_ = now;
    step_ = first;
    busy_reads_++;
    if (!bell_ || busy_reads_ < 3) return false;
    bell_ = false;
    return true;
  }
  // A read found none. True when the bell is to be set, before the next read.
  bool empty(SteadyTime now) {
    busy_reads_ = 0;
    bool wants_bell = has_bell_ && !bell_ && step_ >= quiet;
    if (wants_bell) {
      bell_ = true;
      step_ = first;
    }
    next_ = now + step_;
    step_ = std::min(step_ * 2, longest_);
    return wants_bell;
  }
  void rung(SteadyTime now) { next_ = now; }

 private:
  static constexpr milliseconds first{1}, quiet{8};
  milliseconds longest_;
  bool has_bell_;
  bool bell_ = false;
  int busy_reads_ = 0;
  milliseconds step_ = first;
  SteadyTime next_{};
};

}  // namespace muskrat

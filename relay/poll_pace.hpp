// When the relay looks for new events while little happens, and how it is woken.
//
// Without a bell it looks again 1, 2, 4 … ms after a read that found nothing.
//
// With one it waits in the database as long as something comes, which a commit ends at once.
// When one such wait was in vain it wants the bell: from then on writers NOTIFY, and nothing is
// asked of the database but now and then. Since a writer may have looked at the bell just before
// it was set, and becomes visible only later, it looks after 1, 2, 4 … ms, up to the poll
// interval; a lost ring costs about one commit's length. When the source is busy again it waits
// in the database again, for a NOTIFY in every commit is a lock in every commit.
//
// Used by OutboxLeader. Pure: time comes in. Thread rule: one owner.
#pragma once

#include <algorithm>

#include "common/clock.hpp"

namespace muskrat {

class PollPace {
 public:
  // How long a wait in the database lasts at most.
  static constexpr milliseconds quiet{8};

  PollPace(milliseconds longest, bool has_bell) : longest_(longest), has_bell_(has_bell) {}

  bool due(SteadyTime now) const { return now >= next_; }
  SteadyTime next() const { return next_; }
  // The next read is to wait in the database, if nothing is there.
  bool waits_in_server() const { return has_bell_ && !bell_; }

  // A read found events: read again at once.
  void found(SteadyTime now) {
    next_ = now;
    step_ = first;
    if (++busy_reads_ >= 3) bell_ = false;
  }
  // A read found none. True when the bell is to be set, before the next read.
  bool empty(SteadyTime now) {
    const bool wants_bell = waits_in_server();
    busy_reads_ = 0;
    bell_ = has_bell_;
    next_ = now + step_;
    step_ = std::min(step_ * 2, longest_);
    return wants_bell;
  }
  void rung(SteadyTime now) { next_ = now; }

 private:
  static constexpr milliseconds first{1};
  milliseconds longest_;
  bool has_bell_;
  bool bell_ = false;
  int busy_reads_ = 0;
  milliseconds step_ = first;
  SteadyTime next_{};
};

}  // namespace muskrat

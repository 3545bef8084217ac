// When the relay looks for new events while little happens, and how it is woken.
//
// Without a bell it looks again 1, 2, 4 … ms after a read that found nothing.
//
// With one it waits in the database as long as something comes, which a commit ends at once.
// When some such waits were in vain it wants the bell: from then on writers NOTIFY, and nothing is
// asked of the database but now and then. Since a writer may have looked at the bell just before
// it was set, and becomes visible only later, it looks after 1, 2, 4 … ms, up to the poll
// interval; a lost ring costs about one commit's length. With the next event it waits in the
// database again, for a NOTIFY in every commit is a lock in every commit.
//
// Where thousands come a second, a read for each of them takes the processor from those who write
// them: there the server is to let some gather before it looks.
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
  // How long the server lets events gather where they come thick: more than so many in each such time.
  static constexpr microseconds gathering{1000};
  static constexpr size_t thick = 4;

  PollPace(milliseconds longest, bool has_bell) : longest_(longest), has_bell_(has_bell) {}

  bool due(SteadyTime now) const { return now >= next_; }
  SteadyTime next() const { return next_; }
  // The next read is to wait in the database, if nothing is there.
  bool waits_in_server() const { return has_bell_ && !bell_; }

  // How long it is to let events gather before it looks.
  microseconds gather() const { return thick_ ? gathering : microseconds(0); }

  // A read found so many events: read again at once.
  void found(SteadyTime now, size_t events) {
    next_ = now;
    step_ = first;
    bell_ = false;
    in_vain_ = 0;
    weigh(now, events);
  }
  // A read found none. True when the bell is to be set, before the next read.
  bool empty(SteadyTime now) {
    next_ = now;
    thick_ = false;
    if (waits_in_server() && ++in_vain_ < most_in_vain) return false;
    const bool wants_bell = waits_in_server();
    bell_ = has_bell_;
    next_ = now + step_;
    step_ = std::min(step_ * 2, longest_);
    return wants_bell;
  }
  void rung(SteadyTime now) { next_ = now; }

 private:
  static constexpr milliseconds first{1};
  static constexpr int most_in_vain = 6;
  static constexpr int weighed_at_once = 4;  // times that events gather

  // By what came in a while, for one transaction may write many events and be the only one.
  void weigh(SteadyTime now, size_t events) {
    weighed_ += events;
    const auto took = now - weighed_from_;
    if (took < weighed_at_once * gathering) return;
    thick_ = weighed_ * gathering > thick * took;
    weighed_ = 0;
    weighed_from_ = now;
  }

  milliseconds longest_;
  bool has_bell_;
  bool bell_ = false;
  int in_vain_ = 0;  // waits in the database, since something was found
  milliseconds step_ = first;
  SteadyTime next_{};
  bool thick_ = false;
  size_t weighed_ = 0;  // events found since then
  SteadyTime weighed_from_{};
};

}  // namespace muskrat

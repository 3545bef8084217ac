// Who leads: the clock side of the lease, without any SQL.
//
// A source has one active relay. The lease is a row with a term and a beat that its
// leader raises; a stand-by may take it when both stood still for the lease time on
// the stand-by's own clock, or at once when the holder released it or is a process of
// this machine that is dead. The leader stops publishing half a lease time after its
// last successful renewal began, so it is silent before anyone takes over. No clocks
// are compared between machines.
//
// Used by the sources, which do the SQL. Time is CLOCK_BOOTTIME (it goes on while the
// machine sleeps), passed in. Thread rule: one owner. See docs/adr/0011.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "common/clock.hpp"
#include "common/failure.hpp"

namespace muskrat {

// Another relay leads.
class LeaseLost : public Failure {
 public:
  explicit LeaseLost(const std::string& what) : Failure(Remedy::reconnect, what) {}
};

// Nothing that trying again mends, until a person acts: no schema, no privilege, an altered sequence, another history.
class Misconfigured : public Failure {
 public:
  // `at_start`: reason enough to refuse to start. A broken history is not: `muskrat accept` is run while the relay
  // waits.
  Misconfigured(const std::string& what, bool at_start) : Failure(Remedy::stop, what), fatal_at_start(at_start) {}
  bool fatal_at_start;
};

// What the lease row shows.
struct LeaseView {
  int64_t term = 0, beat = 0;
  std::string holder;  // "" = released
};

// The stand-by's observation of somebody else's lease.
class LeaseWatch {
 public:
  explicit LeaseWatch(milliseconds lease_time) : lease_time_(lease_time) {}
  // True when the lease may be taken now.
  bool observe(const LeaseView& view, milliseconds now);

 private:
  milliseconds lease_time_;
  bool seen_ = false;
  int64_t term_ = 0, beat_ = 0;
  milliseconds still_since_{};
};

// The leader's own lease.
class Lease {
 public:
  explicit Lease(milliseconds lease_time) : lease_time_(lease_time) {}
  // `asked`: the time before the statement was sent, not after its answer.
  void renewed(milliseconds asked) { renewed_ = std::max(renewed_, asked); }
  bool may_publish(milliseconds now) const { return now - renewed_ < lease_time_ / 2; }
  bool renewal_due(milliseconds now) const { return now - renewed_ >= lease_time_ / 6; }
  milliseconds due_in(milliseconds now) const { return renewed_ + lease_time_ / 6 - now; }

 private:
  milliseconds lease_time_;
  milliseconds renewed_{};
};

// "host:pid place start": the words behind the pid say which boot, pid namespace and start of the process it was, so
// that a successor on the same machine can tell for certain that it is dead. What /proc does not tell is "-".
std::string this_holder();
// The same of given parts, where "" is not known.
std::string holder_of(const std::string& host_and_pid, const std::string& place, const std::string& start);
// Whether `holder` is certainly a dead process of this machine; false whenever there is doubt.
bool holder_is_dead(const std::string& holder);

}  // namespace muskrat

// Time: deadlines for every wait, and the two clocks the daemons may use.
//
// Used by everything that waits. No wall clock takes part in order, leases or
// timeouts: a steady clock measures waits, CLOCK_BOOTTIME (which goes on while
// the machine sleeps) measures leases. Wall time appears in events and logs only.
// Thread rule: plain values, free to copy.
#pragma once

#include <chrono>
#include <cstdint>

namespace muskrat {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

// The instant at which a wait gives up.
class Deadline {
 public:
  static Deadline in(milliseconds span) { return Deadline(std::chrono::steady_clock::now() + span); }
  static Deadline at(SteadyTime instant) { return Deadline(instant); }
  // An hour's wait at a time: poll() takes an int, and a wait without end hides bugs.
  static Deadline distant() { return in(std::chrono::hours(1)); }

  bool passed() const { return std::chrono::steady_clock::now() >= instant_; }
  // Milliseconds left, rounded up, never negative: fit for poll().
  int poll_timeout() const;
  SteadyTime instant() const { return instant_; }
  Deadline sooner(Deadline other) const { return instant_ < other.instant_ ? *this : other; }

 private:
  explicit Deadline(SteadyTime instant) : instant_(instant) {}
  SteadyTime instant_;
};

// CLOCK_BOOTTIME since boot: for leases.
milliseconds boottime();

// Wall time as microseconds since 1970-01-01T00:00:00Z: for events and logs.
int64_t wall_clock_us();

}  // namespace muskrat

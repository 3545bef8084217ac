// Exponential backoff with full jitter, so that a thousand clients of a broker
// that comes back do not return in the same millisecond.
//
// Used by the relay's and the host's reconnect loops and by retries.
// Thread rule: one owner.
#pragma once

#include "common/clock.hpp"

namespace muskrat {

class Backoff {
 public:
  Backoff(milliseconds first, milliseconds most) : first_(first), most_(most), next_(first) {}
  // The next wait: uniformly between half of and the whole current step, which then doubles up to `most`.
  milliseconds next();
  void reset() { next_ = first_; }

 private:
  milliseconds first_, most_, next_;
};

}  // namespace muskrat

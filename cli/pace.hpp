// No faster than so many a second, as `--rate` says it.
//
// Used by backfill, replay and verify. What was slow is not caught up with by more than a second's worth. Thread rule:
// the main thread.
#pragma once

#include <cstdint>
#include <string>

#include "common/clock.hpp"
#include "common/stop.hpp"

namespace muskrat::cli {

class Pace {
 public:
  Pace(int64_t a_second, const Stop& stop) : a_second_(a_second), stop_(stop) {}  // 0: as fast as it goes
  // So many were done: waits until that was not too fast, or stop is requested.
  void done(int64_t count);
  // What went by until now was no work.
  void restart();

 private:
  const int64_t a_second_;
  const Stop& stop_;
  SteadyTime due_ = std::chrono::steady_clock::now();
};

// "500/s" or "500"; 0 for "max", which is as fast as it goes. UsageError for what is no rate of `things`.
int64_t rate_of(const std::string& text, const std::string& things);

}  // namespace muskrat::cli

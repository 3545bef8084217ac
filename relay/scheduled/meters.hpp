// The metrics of a scheduled source's life, asked for once. Those of its records are Run's.
//
// Used by ScheduledSource. Thread rule: the handles may be used from any thread.
#pragma once

#include <string>

#include "common/metrics.hpp"

namespace muskrat {

struct ScheduledMeters {
  explicit ScheduledMeters(const std::string& source);
  metrics::Counter *runs, *failures;
  metrics::Gauge *last_success, *next_run, *late, *held;
  // The source is run no longer: what could alarm is 0.
  void rest();
};

}  // namespace muskrat

// What a scheduled kind is: something that reads records from where the last run ended.
//
// Made by the kinds in relay/sources/; driven by ScheduledSource (in muskrat relay) and produce() (muskrat produce),
// through Run. Thread rule: one run at a time, on one thread. What it does not do: schedule, publish, remember.
#pragma once

#include <string>
#include <vector>

#include "common/stop.hpp"
#include "relay/scheduled/run.hpp"

namespace muskrat {

class RecordReader {
 public:
  virtual ~RecordReader() = default;

  // What the cursor consists of. A stored cursor of another shape is refused.
  virtual std::string shape() const = 0;

  // Reads on from run.cursor() and hands over page by page; returns early when the run is to stop. Failure: the run has
  // failed, and what was handed over before stays.
  virtual void read(Run& run) = 0;

  // For `muskrat check --online`: asks the server without reading a record. A sentence for each thing that is well;
  // Failure for the first that is not.
  virtual std::vector<std::string> probe(const Stop& stop) = 0;
};

}  // namespace muskrat

// The metrics of one source, asked for once.
//
// Used by Publisher and the sources; all carry the label source=<name>. They say the
// same for every kind of source, so a new kind brings none of its own.
// Thread rule: the handles may be used from any thread.
#pragma once

#include <string>

#include "common/metrics.hpp"

namespace muskrat {

struct Meters {
  explicit Meters(const std::string& source);
  // Leads no longer: what the gauges said is another relay's to say now.
  void rest();

  metrics::Counter *published, *confirmed, *returned, *nacked, *astray, *reconnects, *source_reconnects, *connected;
  metrics::Counter *cursor_saves, *barriers_forced;
  metrics::Gauge *held, *lag, *waiting, *in_flight, *blocked, *leader, *segments_stuck;
  metrics::Histogram* latency;
};

}  // namespace muskrat

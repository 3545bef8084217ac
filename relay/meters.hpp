// The metrics of one source, asked for once.
//
// Used by Publisher and the sources; all carry the label source=<name>. Meters say the
// same for every kind of source, so a new kind brings none of its own; OutboxMeters are
// of those that read an outbox under a lease.
// Thread rule: the handles may be used from any thread.
#pragma once

#include <string>

#include "common/metrics.hpp"

namespace muskrat {

struct Meters {
  explicit Meters(const std::string& source);
  // Publishes no longer: what the gauges said is over, or another relay's to say now.
  void rest();

  metrics::Counter *published, *confirmed, *returned, *nacked, *astray, *reconnects, *connected;
  metrics::Counter *cursor_saves, *barriers_forced;
  metrics::Gauge *held, *lag, *waiting, *in_flight, *blocked;
  metrics::Histogram* latency;
};

// A source without a lease has no series of these: an alarm for one that nobody leads would sound for it.
struct OutboxMeters : Meters {
  explicit OutboxMeters(const std::string& source);
  void rest();

  metrics::Counter *source_connected, *source_reconnects;
  metrics::Gauge *leader, *segments_stuck;
};

}  // namespace muskrat

#include "relay/meters.hpp"

namespace muskrat {
namespace {

metrics::Counter* count(const std::string& name, const std::string& help, const metrics::Labels& labels) {
  return &metrics::counter("muskrat_relay_" + name, help, labels);
}

metrics::Gauge* gauge(const std::string& name, const std::string& help, const metrics::Labels& labels) {
  return &metrics::gauge("muskrat_relay_" + name, help, labels);
}

metrics::Counter* made(const std::string& source, const std::string& to) {
  return count("connections_total", "Connections made to the broker or the source.", {{"source", source}, {"to", to}});
}

metrics::Counter* lost(const std::string& source, const std::string& to) {
  return count("reconnects_total", "Lost connections and failed attempts to connect.",
               {{"source", source}, {"to", to}});
}

}  // namespace

Meters::Meters(const std::string& source) {
  metrics::Labels labels{{"source", source}};
  published = count("events_published_total", "Events sent to the broker, repeats included.", labels);
  confirmed = count("events_confirmed_total", "Events that the broker confirmed and did not return.", labels);
  returned = count("events_returned_total", "Events that the broker returned as unroutable.", labels);
  nacked = count("events_nacked_total", "Negative confirms from the broker.", labels);
  astray = count("events_astray_total",
                 "Events for one endpoint alone (a backfill) that went to the unrouted, since its queue was not there.",
                 labels);
  connected = made(source, "broker");
  reconnects = lost(source, "broker");
  cursor_saves = count("cursor_saves_total", "Writes of the cursor.", labels);
  barriers_forced = count("barriers_forced_total", "Reads whose durability had to be forced by a commit.", labels);
  held = gauge("held", "Events passed over because the broker would not take them.", labels);
  lag = gauge("lag_seconds", "Age of the oldest event that was read and is not settled.", labels);
  waiting = gauge("waiting", "Events read or listed and not yet sent.", labels);
  in_flight = gauge("window_in_flight", "Events sent and not yet answered by the broker.", labels);
  blocked = gauge("blocked", "1 while the broker blocks publishers by an alarm.", labels);
  latency = &metrics::histogram("muskrat_relay_latency_seconds", "From capture to the broker's confirm.", labels);
}

void Meters::rest() {
  for (metrics::Gauge* each : {held, lag, waiting, in_flight, blocked}) each->set(0);
}

OutboxMeters::OutboxMeters(const std::string& source) : Meters(source) {
  const metrics::Labels labels{{"source", source}};
  source_connected = made(source, "source");
  source_reconnects = lost(source, "source");
  leader = gauge("leader", "1 while this relay leads the source.", labels);
  segments_stuck = gauge("outbox_rotation_stuck", "1 while somebody's lock keeps the outbox from rotating.", labels);
}

void OutboxMeters::rest() {
  Meters::rest();
  for (metrics::Gauge* each : {leader, segments_stuck}) each->set(0);
}

}  // namespace muskrat

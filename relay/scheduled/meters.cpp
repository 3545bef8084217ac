#include "relay/scheduled/meters.hpp"

namespace muskrat {
namespace {

metrics::Counter* count(const std::string& source, const std::string& what, const std::string& help) {
  return &metrics::counter("muskrat_scheduled_" + what + "_total", help, {{"source", source}});
}

metrics::Gauge* gauge(const std::string& source, const std::string& what, const std::string& help) {
  return &metrics::gauge("muskrat_scheduled_" + what, help, {{"source", source}});
}

}  // namespace

ScheduledMeters::ScheduledMeters(const std::string& source)
    : runs(count(source, "runs", "Runs that ended well.")),
      failures(count(source, "failures", "Runs that failed; each is tried again.")),
      last_success(gauge(source, "last_success_seconds", "When a run last ended well; unix time, 0: never.")),
      next_run(gauge(source, "next_run_seconds", "When the next run is due; unix time.")),
      late(gauge(source, "lag_seconds", "How long the run that is due has been due, and has not ended well.")),
      held(gauge(source, "held", "Records kept, since no event can be made of them.")) {}

void ScheduledMeters::rest() {
  for (metrics::Gauge* each : {next_run, late, held}) each->set(0);
}

}  // namespace muskrat

// An endpoint's figures: the metrics it exports and the numbers on its status row.
//
// Used by consumer/host.cpp. Names: muskrat_endpoint_…{endpoint="…"}. Thread rule: the host's thread.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "common/health.hpp"
#include "common/metrics.hpp"
#include "consumer/endpoint.hpp"
#include "consumer/park.hpp"
#include "consumer/schedule.hpp"

namespace muskrat {

class Figures {
 public:
  explicit Figures(const std::string& endpoint);
  ~Figures();  // what the gauges said is the next host's to say
  Figures(const Figures&) = delete;
  Figures& operator=(const Figures&) = delete;

  void settled(const Outcome& outcome, const Event& event);
  void batch(milliseconds took);
  void retry() { retries_.add(), ++retried_; }
  void unsubscribed() { unsubscribed_.add(); }
  void buried() { dead_.add(), ++died_; }
  // Until a call of this or of not_parked(), so that it can stand while it is tried whether the reason is over. With
  // the reason `trouble` the circuit shows as open too.
  void parked(ParkReason reason, int64_t until_us);
  void not_parked();
  // While it is, trouble does not show: nobody tries.
  void paused(bool yes);
  void jobs(size_t count) { jobs_.set(static_cast<double>(count)); }
  // Refreshes the gauges; call about once a second. `oldest`: when the oldest unfinished event was taken.
  void refresh(const Schedule& schedule, std::optional<SteadyTime> oldest, SteadyTime now);
  std::vector<std::pair<std::string, std::string>> rows(const Schedule& schedule) const;

 private:
  void show_park();

  static constexpr size_t fates = 8;
  std::array<metrics::Counter*, fates> delivered_{};
  metrics::Counter &retries_, &dead_, &superseded_, &repeated_, &unsubscribed_, &batches_;
  std::array<metrics::Gauge*, park_reasons.size()> parked_{};
  metrics::Gauge &in_flight_, &held_back_, &parked_until_, &paused_, &circuit_open_, &lag_, &jobs_;
  metrics::Histogram& batch_seconds_;
  uint64_t done_ = 0, retried_ = 0, died_ = 0, superseded_count_ = 0, repeated_count_ = 0;
  double settled_lag_ = 0, lag_seconds_ = 0, rate_ = 0;
  std::optional<ParkReason> park_;
  bool is_paused_ = false;
  uint64_t done_before_ = 0;
  SteadyTime refreshed_{}, settled_at_{};
};

}  // namespace muskrat

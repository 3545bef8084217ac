// An endpoint's figures: the metrics it exports and the numbers on its status row.
//
// Used by consumer/host.cpp. Names: muskrat_endpoint_…{endpoint="…"}. Thread rule: the host's thread.
#pragma once

#include <array>
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

  void settled(const Outcome& outcome, const Event& event);
  void batch(milliseconds took);
  void retry() { retries_.add(), ++retried_; }
  void unsubscribed() { unsubscribed_.add(); }
  void buried() { dead_.add(), ++died_; }
  void circuit(bool open) { circuit_open_.set(open ? 1 : 0); }
  void parked(ParkReason reason, int64_t until_us);
  void not_parked();
  void paused(bool yes) { paused_.set(yes ? 1 : 0); }
  void jobs(size_t count) { jobs_.set(static_cast<double>(count)); }
  // Refreshes the gauges; call about once a second.
  void refresh(const Schedule& schedule, SteadyTime now);
  std::vector<std::pair<std::string, std::string>> rows(const Schedule& schedule) const;

 private:
  static constexpr size_t fates = 8;
  std::array<metrics::Counter*, fates> delivered_{};
  metrics::Counter &retries_, &dead_, &superseded_, &repeated_, &unsubscribed_, &batches_;
  std::array<metrics::Gauge*, park_reasons.size()> parked_{};
  metrics::Gauge &in_flight_, &held_back_, &parked_until_, &paused_, &circuit_open_, &lag_, &jobs_;
  metrics::Histogram& batch_seconds_;
  uint64_t done_ = 0, retried_ = 0, died_ = 0, superseded_count_ = 0, repeated_count_ = 0;
  double lag_seconds_ = 0, rate_ = 0;
  uint64_t done_before_ = 0;
  SteadyTime refreshed_{}, settled_at_{};
};

}  // namespace muskrat

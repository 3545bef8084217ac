// How many messages lie in the queues, as metrics: a queue that only grows is what tells of an endpoint that is slower
// than what comes, and it grows while its host has no channel to it (parked, paused).
//
// Used by consumer/consumer.cpp, one for the process, with a connection and a thread of its own. Every few seconds it
// asks for each endpoint's queue and dead letters, and the unrouted; while the broker cannot be asked, or has no such
// queue, the gauge is NaN, which no comparison of an alert rule holds for. Of a quorum queue without a leader the
// broker says 0. Thread rule: construct and destroy on one. What it does not do: count what a host has in hand
// (muskrat_endpoint_in_flight, _held_back).
#pragma once

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/amqp.hpp"
#include "common/config.hpp"
#include "common/metrics.hpp"
#include "common/stop.hpp"

namespace muskrat {

class QueueDepths {
 public:
  // `config` outlives it.
  explicit QueueDepths(const Config& config);
  ~QueueDepths();
  QueueDepths(const QueueDepths&) = delete;
  QueueDepths& operator=(const QueueDepths&) = delete;

 private:
  struct Watched {
    std::string queue;
    metrics::Gauge* depth;
  };

  void run();
  void look();
  void look_until_stopped();
  double depth_of(const std::string& queue);
  void unknown();

  const Config& config_;
  std::vector<Watched> watched_;
  std::optional<amqp::Connection> broker_;
  Stop quit_;
  std::thread thread_;
};

}  // namespace muskrat

// One life of an endpoint's channel: a connection, a consumer, and the account of its delivery tags.
//
// Used by consumer/host.cpp, which opens a new one whenever messages must go back to the queue: closing the channel is
// the one way to give them back in order (never basic.cancel, never nack). A session that stopped taking lets later
// deliveries go by unacknowledged; they return to the queue when it closes.
// Thread rule: the host's thread. Every call may throw Failure{reconnect}: then the session is over.
#pragma once

#include <string>
#include <vector>

#include "common/amqp.hpp"
#include "consumer/settling.hpp"

namespace muskrat {

class Session : private amqp::Handler {
 public:
  // Takes a logged-in connection over and begins to consume. `generation` tells this life from others.
  Session(amqp::Connection connection, const std::string& queue, uint16_t prefetch, uint64_t generation);

  // Waits for deliveries, `stop` or `wake_fd`; takes deliveries while their bytes stay below `allowance`.
  std::vector<amqp::Delivery> pump(Deadline deadline, const Stop* stop, int wake_fd, size_t allowance);
  void stop_taking() { taking_ = false; }
  void finish(uint64_t tag) { settling_.finished(tag); }
  // Acknowledges what is finished, now and then (see acks_due()); those behind an unfinished one too when they are
  // many, old, or `all`.
  void flush_acks(bool all);
  // Acknowledges the rest and closes; never throws. What is open goes back to the queue.
  void close();
  // When flush_acks() should be called again, if something waits for it.
  std::optional<SteadyTime> acks_due() const;

  // Of any queue; Failure{reconnect} when it is not there.
  amqp::Connection::QueueState queue_state(const std::string& queue);

  uint64_t generation() const { return generation_; }
  uint16_t prefetch() const { return prefetch_; }
  bool overflowed() const { return overflowed_; }  // the allowance was passed: it takes nothing any more
  bool cancelled() const { return cancelled_; }    // the queue is gone
  std::optional<SteadyTime> oldest_open() const { return settling_.oldest_open(); }

 private:
  void on_delivery(amqp::Delivery&& delivery) override;
  void on_consumer_cancelled() override { cancelled_ = true; }

  amqp::Connection connection_;
  Settling settling_;
  const uint64_t generation_;
  const uint16_t prefetch_;
  std::vector<amqp::Delivery> arrived_;
  size_t allowance_ = 0, arrived_bytes_ = 0;
  bool taking_ = true, overflowed_ = false, cancelled_ = false;
  SteadyTime acked_at_{}, singles_at_{};
};

}  // namespace muskrat

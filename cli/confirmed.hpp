// Publishing by a verb: persistent, mandatory, each message confirmed.
//
// Used by replay and dead retry, and by backfill to see that there is a way to a queue. A window of messages is on its
// way at a time, in order, for they take one channel. What is not taken ends the run: Failure{stop} says why, and how
// many were confirmed before. Publishing has a connection of its own, since one that publishes stalls under the
// broker's alarm. Thread rule: the main thread.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "common/amqp.hpp"

namespace muskrat::cli {

class ConfirmedPublisher : private amqp::Handler {
 public:
  // `to` names where the messages go, for messages to people: "the queue muskrat.analytics".
  ConfirmedPublisher(amqp::Connection connection, std::string to);

  // Returns when it is on its way; waits while the window is full, or until `stop` is requested.
  void send(const amqp::Message& message, const Stop* stop = nullptr);
  // Until all is confirmed.
  void settle();
  uint64_t confirmed() const { return confirmed_; }
  void close();

 private:
  void wait_for(const std::function<bool()>& done, const Stop* stop);
  void require_taken() const;
  void on_confirm(uint64_t tag, bool multiple, bool acked) override;
  void on_return(amqp::Returned&& returned) override;

  amqp::Connection connection_;
  const std::string to_;
  std::set<uint64_t> on_their_way_;
  uint64_t confirmed_ = 0;
  std::string refusal_;
};

// Failure{stop} when there is no such queue, or this user of the broker may not publish straight to it.
void require_way_to_queue(amqp::Connection& broker, const std::string& queue);

}  // namespace muskrat::cli

// Messages straight to one queue, through the default exchange: persistent, mandatory, each confirmed.
//
// Used by replay and dead retry, and by backfill to see that there is a way. A window of messages is on its way at a
// time; they are in order, for they take one channel to one queue. What is not taken ends the run: Failure{stop} says
// why, and what was confirmed is known. Publishing has a connection of its own, since one that publishes stalls under
// the broker's alarm. Thread rule: the main thread.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "common/amqp.hpp"

namespace muskrat::cli {

class StraightPublisher : private amqp::Handler {
 public:
  StraightPublisher(amqp::Connection connection, std::string queue);

  // Failure{stop} when there is no such queue, or this user may not publish there.
  void require_way();
  // The message's exchange and routing key are set here. Waits while the window is full, or `stop` is requested.
  void send(amqp::Message message, const Stop* stop = nullptr);
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
  const std::string queue_;
  std::set<uint64_t> on_their_way_;
  uint64_t confirmed_ = 0;
  std::string refusal_;
};

}  // namespace muskrat::cli

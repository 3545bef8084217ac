// What the tests of the AMQP wrapper share: a connection, a handler that writes
// down all it hears, and short ways to publish and to wait.
#pragma once

#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include "common/amqp.hpp"
#include "test/integration/server.hpp"

namespace muskrat::integration {

inline Deadline soon() { return Deadline::in(std::chrono::seconds(10)); }

inline amqp::Connection connect(std::chrono::seconds heartbeat = std::chrono::seconds(10)) {
  auto address = amqp::parse_url(setting("MUSKRAT_TEST_AMQP_URL"));
  address.heartbeat = heartbeat;
  return amqp::Connection::open(address, "muskrat test", soon());
}

class Recorder : public amqp::Handler {
 public:
  void on_confirm(uint64_t tag, bool multiple, bool acked) override {
    auto& kind = acked ? confirmed : nacked;
    for (uint64_t t = multiple ? 1 : tag; t <= tag; ++t)
      if (!confirmed.contains(t) && !nacked.contains(t)) kind.insert(t);
    order.emplace_back("confirm");
  }
  void on_return(amqp::Returned&& returned) override {
    returns.push_back(std::move(returned));
    order.emplace_back("return");
  }
  void on_delivery(amqp::Delivery&& delivery) override { deliveries.push_back(std::move(delivery)); }
  void on_blocked(const std::string& reason) override { blocked = reason; }
  void on_unblocked() override { unblocked = true; }
  void on_consumer_cancelled() override { cancelled = true; }

  std::set<uint64_t> confirmed, nacked;
  std::vector<amqp::Returned> returns;
  std::vector<amqp::Delivery> deliveries;
  std::vector<std::string> order;
  std::string blocked;
  bool unblocked = false, cancelled = false;
};

template <typename Done>
void pump_until(amqp::Connection& broker, amqp::Handler& handler, Done done,
                Deadline deadline = Deadline::in(std::chrono::seconds(10))) {
  while (!done()) {
    if (deadline.passed()) fail_msg("what was waited for did not come in time");
    broker.pump(handler, deadline.sooner(Deadline::in(milliseconds(200))));
  }
}

inline amqp::Sent publish_to(amqp::Connection& broker, const std::string& exchange, const std::string& key,
                             const std::string& body, const std::string& id = "") {
  amqp::Message message;
  message.exchange = exchange;
  message.routing_key = key;
  message.body = body;
  message.message_id = id;
  return broker.publish(message, soon());
}

// Through the default exchange, straight to a queue.
inline amqp::Sent publish(amqp::Connection& broker, const std::string& queue, const std::string& body,
                          const std::string& id = "") {
  return publish_to(broker, "", queue, body, id);
}

// A new one in each run: the server may have served an earlier one.
inline std::string quorum_queue(amqp::Connection& broker, const std::string& name) {
  auto queue = "test." + name + "." + std::to_string(::getpid());
  broker.declare_queue(queue, {{"x-queue-type", std::string("quorum")}}, soon());
  return queue;
}

// Messages "first" … "last", confirmed; the channel is as new afterwards.
inline void fill(amqp::Connection& broker, const std::string& queue, int first, int last) {
  broker.confirm_select(soon());
  for (int i = first; i <= last; ++i) publish(broker, queue, std::to_string(i));
  Recorder recorder;
  auto count = static_cast<size_t>(last) - static_cast<size_t>(first) + 1;
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == count; });
  broker.close_channel(soon());
  broker.open_channel(soon());
}

struct Told {
  int code = 0;
  std::string text;
};

template <typename Act>
Told channel_error(Act act) {
  Told told;
  try {
    act();
  } catch (const amqp::ChannelError& error) {
    told = {error.code(), error.what()};
  }
  if (told.code == 0) fail_msg("no channel error came");
  return told;
}

// The text of the Failure that `act` throws.
template <typename Act>
std::string failure(Act act) {
  std::string text;
  try {
    act();
  } catch (const Failure& error) {
    text = error.what();
  }
  if (text.empty()) fail_msg("nothing failed");
  return text;
}

}  // namespace muskrat::integration

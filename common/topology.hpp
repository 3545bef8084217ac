// The names of what stands on the broker, and how it is declared.
//
// `muskrat setup` declares; the relay and the host only use. `prefix` (setting
// broker.prefix, default "muskrat") lets staging and production share a broker.
#pragma once

#include <string>
#include <vector>

#include "common/amqp.hpp"

namespace muskrat {

struct Topology {
  std::string prefix = "muskrat";

  std::string exchange() const { return prefix; }                 // topic, durable, alternate-exchange = unrouted()
  std::string unrouted() const { return prefix + ".unrouted"; }   // fanout exchange and its queue
  std::string dead_exchange() const { return prefix + ".dead"; }  // direct; routing key = endpoint
  std::string queue(const std::string& endpoint) const { return prefix + "." + endpoint; }
  std::string dead_queue(const std::string& endpoint) const { return queue(endpoint) + ".dead"; }
};

struct EndpointBinding {
  std::string endpoint;
  std::vector<std::string> patterns;  // as the user wrote them
};

struct UnroutedBound {
  int64_t bytes = int64_t{1} << 30;
  milliseconds age = std::chrono::hours(24 * 7);
};

// A queue as setup declares it.
struct QueueShape {
  std::string name;
  amqp::Table arguments;
};
QueueShape unrouted_queue(const Topology& topology, const UnroutedBound& bound);
QueueShape endpoint_queue(const Topology& topology, const std::string& endpoint);
QueueShape dead_letter_queue(const Topology& topology, const std::string& endpoint);

// Why the broker refused `what` ("queue muskrat.analytics"), and what to do; after 406 with what differs there.
std::string refusal_text(const amqp::ChannelError& error, const std::string& what);

// One line of what setup did or found: "queue muskrat.analytics: declared", "… exists with other arguments: …".
struct SetupLine {
  bool ok;
  std::string text;
};

// Declares everything, idempotently; never deletes or redeclares. Drift (406) is reported, with what differs as the
// broker tells it and what to do, and the rest goes on. Exchanges and queues only; users and vhosts are the operator's.
std::vector<SetupLine> declare_topology(amqp::Connection& connection, const Topology& topology,
                                        const std::vector<EndpointBinding>& endpoints, const UnroutedBound& unrouted,
                                        Deadline deadline);

}  // namespace muskrat

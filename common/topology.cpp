#include "common/topology.hpp"

#include <functional>
#include <limits>
#include <utility>

#include "common/event.hpp"

namespace muskrat {

namespace {

// RabbitMQ 4 defaults to 20 and -1 means different things on different versions; what is poison is the host's to say.
constexpr int64_t no_delivery_limit = std::numeric_limits<int32_t>::max();

// "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '1' but current is '2'"
// → "x-max-length is '2' there, '1' was asked for"; the whole text where it reads otherwise.
std::string difference(const std::string& text) {
  auto between = [&](std::string_view left, std::string_view right) -> std::string {
    auto begin = text.find(left);
    if (begin == std::string::npos) return "";
    begin += left.size();
    auto end = text.find(right, begin);
    return end == std::string::npos ? text.substr(begin) : text.substr(begin, end - begin);
  };
  auto argument = between("inequivalent arg '", "'");
  if (argument.empty()) return text;
  auto wanted = between("received ", " but current is"), there = between("but current is ", " (");
  return argument + " is " + there + " on the broker, " + wanted + " in this configuration";
}

std::string advice(int code, const std::string& what, const std::string& text) {
  switch (code) {
    case 403:
      return "; grant the user of broker.url configure, write and read on " + what +
             " (rabbitmqctl set_permissions; docs/operations.md says how), or run setup as a user who has them";
    case 404:
      return "; its counterpart could not be declared above: mend that first, then run setup again";
    case 406:
      // "invalid arg", where a queue that is there has an "inequivalent arg": 3.9 has no x-message-ttl of quorum
      // queues.
      if (text.find("invalid arg '") != std::string::npos)
        return "; this broker knows no such argument of this kind of queue: RabbitMQ 3.10 or later is needed";
      return "; nothing was changed: drain it and delete it yourself, then run setup again, or change the "
             "configuration to agree with it";
    default:
      return "";
  }
}

QueueShape quorum(std::string name, amqp::Table arguments) {
  arguments["x-queue-type"] = std::string("quorum");
  return {std::move(name), std::move(arguments)};
}

// Declares one thing after another; what the broker refuses becomes a line, and the channel is opened again.
class Declarer {
 public:
  Declarer(amqp::Connection& connection, Deadline deadline) : connection_(connection), deadline_(deadline) {}

  void exchange(const std::string& name, const std::string& type, const amqp::Table& arguments = {}) {
    attempt("exchange " + name, "declared (" + type + ")",
            [&] { connection_.declare_exchange(name, type, arguments, deadline_); });
  }

  void queue(const QueueShape& queue) {
    attempt("queue " + queue.name, "declared (quorum)",
            [&] { connection_.declare_queue(queue.name, queue.arguments, deadline_); });
  }

  void bind(const std::string& queue, const std::string& exchange, const std::string& key) {
    attempt("binding " + exchange + " -> " + queue, key.empty() ? "everything" : key,
            [&] { connection_.bind_queue(queue, exchange, key, deadline_); });
  }

  void refuse(const std::string& text) { lines_.push_back({false, text}); }
  std::vector<SetupLine> take() { return std::move(lines_); }

 private:
  void attempt(const std::string& what, const std::string& done, const std::function<void()>& declare) {
    try {
      declare();
      lines_.push_back({true, what + ": " + done});
    } catch (const amqp::ChannelError& error) {
      lines_.push_back({false, refusal_text(error, what)});
      connection_.open_channel(deadline_);
    }
  }

  amqp::Connection& connection_;
  Deadline deadline_;
  std::vector<SetupLine> lines_;
};

void declare_common(Declarer& declarer, const Topology& topology, const UnroutedBound& bound) {
  declarer.exchange(topology.unrouted(), "fanout");
  declarer.exchange(topology.exchange(), "topic", {{"alternate-exchange", topology.unrouted()}});
  declarer.exchange(topology.dead_exchange(), "direct");
  declarer.queue(unrouted_queue(topology, bound));
  declarer.bind(topology.unrouted(), topology.unrouted(), "");
}

void declare_queues(Declarer& declarer, const Topology& topology, const std::string& endpoint) {
  declarer.queue(dead_letter_queue(topology, endpoint));
  declarer.bind(topology.dead_queue(endpoint), topology.dead_exchange(), endpoint);
  declarer.queue(endpoint_queue(topology, endpoint));
}

void bind_patterns(Declarer& declarer, const Topology& topology, const EndpointBinding& endpoint) {
  for (const auto& pattern : endpoint.patterns) {
    std::string why;
    if (auto key = binding_of_pattern(pattern, &why))
      declarer.bind(topology.queue(endpoint.endpoint), topology.exchange(), *key);
    else
      declarer.refuse("endpoint " + endpoint.endpoint + " cannot subscribe to " + pattern + ": " + why);
  }
}

}  // namespace

QueueShape unrouted_queue(const Topology& topology, const UnroutedBound& bound) {
  return quorum(topology.unrouted(), {{"x-max-length-bytes", bound.bytes},
                                      {"x-message-ttl", bound.age.count()},
                                      {"x-overflow", std::string("drop-head")}});
}

QueueShape endpoint_queue(const Topology& topology, const std::string& endpoint) {
  return quorum(topology.queue(endpoint), {{"x-delivery-limit", no_delivery_limit},
                                           {"x-dead-letter-exchange", topology.dead_exchange()},
                                           {"x-dead-letter-routing-key", endpoint},
                                           {"x-single-active-consumer", true}});
}

QueueShape dead_letter_queue(const Topology& topology, const std::string& endpoint) {
  return quorum(topology.dead_queue(endpoint), {{"x-delivery-limit", no_delivery_limit}});
}

std::string refusal_text(const amqp::ChannelError& error, const std::string& what) {
  return what + ": " + difference(error.what()) + advice(error.code(), what, error.what());
}

std::vector<SetupLine> declare_topology(amqp::Connection& connection, const Topology& topology,
                                        const std::vector<EndpointBinding>& endpoints, const UnroutedBound& unrouted,
                                        Deadline deadline) {
  Declarer declarer(connection, deadline);
  declare_common(declarer, topology, unrouted);
  for (const auto& endpoint : endpoints) {
    declare_queues(declarer, topology, endpoint.endpoint);
    bind_patterns(declarer, topology, endpoint);
  }
  return declarer.take();
}

}  // namespace muskrat

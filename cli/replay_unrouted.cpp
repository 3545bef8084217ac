// What lies in the unrouted queue, to where it is bound now.
//
// Which messages those are the configuration says: a broker cannot be asked where it would route something, and a
// message that is published in vain comes back to the end of the queue with a new age. So the bindings of the
// endpoints concerned are made first, as setup makes them. Each message is published to the exchange with confirm,
// and only then taken out; what is not meant goes back in order.
#include <algorithm>
#include <map>

#include "cli/agreement.hpp"
#include "cli/confirmed.hpp"
#include "cli/context.hpp"
#include "cli/dead_walk.hpp"
#include "cli/exit.hpp"
#include "cli/pace.hpp"
#include "cli/replay.hpp"
#include "cli/terminal.hpp"
#include "common/amqp_again.hpp"
#include "common/json.hpp"
#include "common/wire.hpp"

namespace muskrat::cli {
namespace {

struct Subscriber {
  std::string endpoint;
  std::vector<std::string> bindings;
};

// A routing key, and the endpoint that the events were for alone (empty: all).
using Kind = std::pair<std::string, std::string>;

class UnroutedReplay {
 public:
  UnroutedReplay(const Config& config, const ReplayOrder& order, const Stop& stop)
      : config_(config),
        order_(order),
        stop_(stop),
        patterns_(checked_bindings(order.patterns)),
        pace_(order.rate, stop) {
    for (const EndpointBinding& endpoint : endpoint_bindings(config))
      subscribers_.push_back({endpoint.endpoint, checked_bindings(endpoint.patterns)});
  }

  int run() {
    try {
      return replay();
    } catch (const BrokenPipe&) {
      throw BrokenPipe{counted(sent_, "message") + " sent. The same command goes on with what is left."};
    }
  }

 private:
  int replay() {
    LetterWalk walk = open();
    walk.look({}, [&](const amqp::Delivery& message, uint32_t) {
      note(message);
      return true;
    });
    walk.close();
    show_plan(walk);
    if (meant_ == 0) return order_.filtered() ? exit_problems : exit_ok;
    if (order_.dry_run) return exit_ok;
    if (!order_.yes && !agreed("\nType the source's name to go on: ", order_.source)) {
      print("Nothing was sent.\n");
      return exit_usage;
    }
    bind();
    return send();
  }

  LetterWalk open() const {
    const std::string verb = "replay unrouted";  // a literal would be taken for the flag of the other constructor
    return LetterWalk(config_, config_.topology.unrouted(), "what was unrouted", verb);
  }

  static std::string routing_key_of(const amqp::Delivery& message) {
    const std::string own = message.headers.text(wire::header_routing_key);
    return own.empty() ? message.routing_key : own;
  }

  // Does the endpoint get it? What was for one alone goes to that one, whatever it subscribes to.
  static bool gets(const Subscriber& subscriber, const std::string& routing_key, const std::string& to) {
    return to.empty() ? any_binding_matches(subscriber.bindings, routing_key) : subscriber.endpoint == to;
  }

  // Of this source, asked for, and with somebody to go to.
  bool takes(const amqp::Delivery& message) const {
    const std::string routing_key = routing_key_of(message), to = message.headers.text(wire::header_to);
    const std::string source = message.headers.text(wire::header_source);
    const auto one_of = [](const std::vector<std::string>& list, const std::string& text) {
      return list.empty() || std::find(list.begin(), list.end(), text) != list.end();
    };
    return source == order_.source && one_of(order_.keys, message.headers.text(wire::header_key)) &&
           one_of(order_.message_ids, message.message_id) &&
           (patterns_.empty() || any_binding_matches(patterns_, routing_key)) &&
           std::any_of(subscribers_.begin(), subscribers_.end(),
                       [&](const Subscriber& subscriber) { return gets(subscriber, routing_key, to); });
  }

  void note(const amqp::Delivery& message) {
    Count& count = counts_[{routing_key_of(message), message.headers.text(wire::header_to)}];
    ++count.events;
    if (!takes(message)) return;
    ++count.meant;
    ++meant_;
  }

  std::string endpoints_of(const Kind& kind) const {
    std::string names;
    for (const Subscriber& subscriber : subscribers_)
      if (gets(subscriber, kind.first, kind.second)) names += (names.empty() ? "" : ", ") + subscriber.endpoint;
    return names;
  }

  void show_plan(const LetterWalk& walk) const {
    if (order_.json) return print(plan_json(walk).text() + "\n");
    print("The queue " + config_.topology.unrouted() + " has " + counted(walk.total(), "message") + ".\n");
    Table table({"ROUTING KEY", "MESSAGES", "GO NOW", "TO"});
    for (const auto& [kind, count] : counts_) {
      std::string names = endpoints_of(kind);
      if (names.empty())
        names = kind.second.empty() ? "nobody subscribes to it" : "no endpoint " + harmless(kind.second) + " here";
      table.add({harmless(kind.first), std::to_string(count.events), std::to_string(count.meant), names},
                count.meant > 0 ? Colour::plain : Colour::faint);
    }
    if (!table.empty()) print(table.text("  "));
    if (walk.looked_at() < walk.total())
      print("Only the first " + std::to_string(walk.looked_at()) + " were looked at.\n");
    if (meant_ == 0) print("None of them has anywhere to go; nothing was sent.\n");
  }

  json::Object plan_json(const LetterWalk& walk) const {
    std::vector<json::Object> keys;
    for (const auto& [kind, count] : counts_) {
      json::Object key;
      key.add("routing_key", kind.first).add("messages", count.events);
      keys.push_back(std::move(key.add("meant", count.meant).add("to", endpoints_of(kind))));
    }
    json::Object plan, document;
    plan.add("unrouted", static_cast<int64_t>(walk.total())).add("meant", meant_).add("routing_keys", keys);
    return std::move(document.add("plan", plan));
  }

  void bind() const {
    amqp::Connection broker = open_broker(config_, "replay unrouted (binding)");
    const Topology& names = config_.topology;
    const Deadline deadline = Deadline::in(answer_time);
    for (const Subscriber& subscriber : subscribers_) {
      const bool concerned = std::any_of(counts_.begin(), counts_.end(), [&](const auto& count) {
        return count.second.meant > 0 && gets(subscriber, count.first.first, count.first.second);
      });
      if (!concerned) continue;
      const std::string queue = names.queue(subscriber.endpoint);
      if (!broker.queue_state(queue, deadline))
        throw Failure(Remedy::stop, "the queue " + queue + " is not there; run muskrat setup");
      for (const std::string& binding : subscriber.bindings) bind(broker, queue, names.exchange(), binding);
    }
    broker.close(Deadline::in(std::chrono::seconds(2)));
  }

  static void bind(amqp::Connection& broker, const std::string& queue, const std::string& exchange,
                   const std::string& binding) {
    try {
      broker.bind_queue(queue, exchange, binding, Deadline::in(answer_time));
    } catch (const amqp::ChannelError& error) {
      if (error.code() != 403) throw;
      throw Failure(Remedy::stop, "the broker's user may not bind the queue " + queue + " (" + error.what() +
                                      "); give it write on " + queue + " and read on " + exchange +
                                      ", as docs/operations.md says of replay --unrouted; nothing was sent");
    }
  }

  int send() {
    LetterWalk walk = open();
    const std::string exchange = config_.topology.exchange();
    ConfirmedPublisher publisher(open_broker(config_, "replay unrouted (publishing)"), "the exchange " + exchange);
    const auto wanted = [&](const amqp::Delivery& message) { return takes(message); };
    walk.some(wanted, [&](const amqp::Delivery& message) {
      if (stop_.requested()) return false;
      const std::string to = message.headers.text(wire::header_to);
      const std::string way = to.empty() ? routing_key_of(message) : config_.topology.queue(to);
      publisher.send(amqp::message_again(message, to.empty() ? exchange : "", way, is_about_the_way));
      publisher.settle();
      pace_.done(1);
      return true;
    });
    publisher.close();
    walk.close();
    sent_ = walk.taken_out();
    const auto sent = static_cast<int64_t>(sent_);
    if (order_.json) {
      json::Object object;
      object.add("state", stop_.requested() ? "stopped" : "done").add("sent", sent);
      print(object.add("left", static_cast<int64_t>(walk.total()) - sent).text() + "\n");
    } else {
      print(counted(walk.taken_out(), "message") + " sent to where they are bound now; " +
            std::to_string(static_cast<int64_t>(walk.total()) - sent) + " left.\n");
    }
    return stop_.requested() ? exit_problems : exit_ok;
  }

  // What brokers write, and the relay about an event for one endpoint whose queue was not there.
  static bool is_about_the_way(const std::string& header) {
    return header == wire::header_to || header == "x-delivery-count" || header.starts_with("x-first-death-") ||
           header.starts_with("x-last-death-");
  }

  struct Count {
    int64_t events = 0, meant = 0;
  };

  const Config& config_;
  const ReplayOrder& order_;
  const Stop& stop_;
  const std::vector<std::string> patterns_;
  Pace pace_;
  std::vector<Subscriber> subscribers_;
  std::map<Kind, Count> counts_;
  int64_t meant_ = 0;
  size_t sent_ = 0;
};

}  // namespace

int replay_unrouted(const Config& config, const ReplayOrder& order, const Stop& stop) {
  return UnroutedReplay(config, order, stop).run();
}

}  // namespace muskrat::cli

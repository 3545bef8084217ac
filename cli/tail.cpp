// muskrat tail: prints events as they pass, from a queue of its own.
#include <cstdio>
#include <ctime>

#include "cli/context.hpp"
#include "cli/event_text.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/event.hpp"
#include "common/wire.hpp"

namespace muskrat::cli {
namespace {

class Printer : public amqp::Handler {
 public:
  Printer(bool json, int64_t count) : json_(json), left_(count) {}

  void on_delivery(amqp::Delivery&& delivery) override {
    last_tag_ = delivery.tag;
    if (done()) return;
    Event event;
    std::string why;
    delivery.routing_key = harmless(delivery.routing_key);
    // A foreign message under a routing key that is not ours still passed by.
    if (!wire::event_of(std::move(delivery), event, why)) return;
    print(json_ ? event_json(event) + "\n" : event_line(event));
    if (left_ > 0 && --left_ == 0) done_ = true;
  }
  void on_consumer_cancelled() override {
    throw Failure(Remedy::stop, "the broker deleted our queue; start muskrat tail again");
  }

  bool done() const { return done_; }
  uint64_t last_tag() const { return last_tag_; }

 private:
  const bool json_;
  int64_t left_;  // 0 = no end
  bool done_ = false;
  uint64_t last_tag_ = 0;
};

class Tail : public Command {
 public:
  explicit Tail(Arguments& arguments) {
    arguments.flag("--json", json_, "One JSON object per line: time, routing_key, key, op, …, body.");
    arguments.number("-n,--count", "N", count_, 1, INT64_MAX, "Stop after N events.");
    arguments.positionals("PATTERN", patterns_,
                          "Which routing keys, as in a subscription: Frontend.*, *.Customer.Signup.");
  }

  int run(const Globals& globals) override {
    const std::vector<std::string> bindings = checked_bindings();
    const Config config = load(globals);
    Stop stop;
    SignalThread signals(stop);
    amqp::Connection broker = open_broker(config, "tail", &stop);
    listen(broker, config.topology, bindings);
    Printer printer(json_, count_);
    try {
      follow(broker, printer, stop);
    } catch (const BrokenPipe&) {
      return exit_ok;  // as Ctrl-C: it has no end of its own
    }
    broker.close(Deadline::in(std::chrono::seconds(2)));
    return exit_ok;
  }

 private:
  std::vector<std::string> checked_bindings() const {
    if (patterns_.empty()) return {"#"};
    std::vector<std::string> bindings;
    for (const std::string& pattern : patterns_) {
      std::string why;
      const auto binding = binding_of_pattern(pattern, &why);
      if (!binding) throw UsageError("the pattern \"" + pattern + "\" can match no event: " + why);
      bindings.push_back(*binding);
    }
    return bindings;
  }

  static void follow(amqp::Connection& broker, Printer& printer, const Stop& stop) {
    uint64_t acked = 0;
    while (!stop.requested() && !printer.done()) {
      broker.pump(printer, Deadline::in(std::chrono::minutes(1)), &stop);
      if (printer.last_tag() == acked) continue;
      acked = printer.last_tag();
      broker.ack(acked, true, Deadline::in(answer_time));
    }
  }

  void listen(amqp::Connection& broker, const Topology& topology, const std::vector<std::string>& bindings) const {
    const Deadline deadline = Deadline::in(answer_time);
    if (!broker.exchange_exists(topology.exchange(), deadline)) {
      throw Failure(Remedy::stop, "the exchange " + topology.exchange() + " is not there; run muskrat setup");
    }
    const std::string queue = broker.declare_temporary_queue(deadline);
    for (const std::string& binding : bindings) broker.bind_queue(queue, topology.exchange(), binding, deadline);
    broker.qos(500, deadline);
    broker.consume(queue, deadline);
    if (!on_terminal()) return;
    std::string shown;
    for (const std::string& binding : bindings) shown += (shown.empty() ? "" : ", ") + binding;
    complain("Listening to " + shown + "; Ctrl-C ends it.\n");
  }

  bool json_ = false;
  int64_t count_ = 0;
  std::vector<std::string> patterns_;
};

}  // namespace

std::unique_ptr<Command> make_tail(Arguments& arguments) { return std::make_unique<Tail>(arguments); }

}  // namespace muskrat::cli

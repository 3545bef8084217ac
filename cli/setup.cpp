// muskrat setup: what the relay publishes to and the host reads from comes to stand on the broker.
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/event.hpp"

namespace muskrat::cli {
namespace {

class Setup : public Command {
 public:
  explicit Setup(Arguments& arguments) {
    arguments.flag("--dry-run", dry_run_, "Say what is there and what is missing; change nothing.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    amqp::Connection broker = open_broker(config, "setup");
    print(broker.server() + " at " + config.broker.place() + "\n");
    const int code = dry_run_ ? look(config, broker) : declare(config, broker);
    broker.close(Deadline::in(std::chrono::seconds(2)));
    return code;
  }

 private:
  static int declare(const Config& config, amqp::Connection& broker) {
    const auto lines = declare_topology(broker, config.topology, endpoint_bindings(config), config.unrouted,
                                        Deadline::in(answer_time));
    size_t drift = 0;
    for (const SetupLine& line : lines) {
      if (!line.ok) ++drift;
      print("  " + (line.ok ? coloured(Colour::green, "ok     ") : coloured(Colour::red, "PROBLEM")) + "  " +
            line.text + "\n");
    }
    if (config.endpoints.empty()) print("  The configuration has no endpoints, so no queues were declared for any.\n");
    if (drift > 0) print(counted(drift, "problem") + "; what could be declared was.\n");
    return drift > 0 ? exit_problems : exit_ok;
  }

  static void found(const std::string& what, bool there) {
    print("  " + (there ? coloured(Colour::faint, "there  ") : coloured(Colour::yellow, "missing")) + "  " + what +
          "\n");
  }

  static int look(const Config& config, amqp::Connection& broker) {
    const Deadline deadline = Deadline::in(answer_time);
    const Topology& names = config.topology;
    for (const std::string& exchange : {names.exchange(), names.unrouted(), names.dead_exchange()}) {
      found("exchange " + exchange, broker.exchange_exists(exchange, deadline));
    }
    found("queue " + names.unrouted(), broker.queue_state(names.unrouted(), deadline).has_value());
    for (const EndpointBinding& endpoint : endpoint_bindings(config)) {
      for (const std::string& queue : {names.queue(endpoint.endpoint), names.dead_queue(endpoint.endpoint)}) {
        found("queue " + queue, broker.queue_state(queue, deadline).has_value());
      }
      // AMQP cannot be asked for bindings; declaring one that is there changes nothing.
      for (const std::string& pattern : endpoint.patterns) {
        print("  to bind  " + names.exchange() + " -> " + names.queue(endpoint.endpoint) + ": " +
              *binding_of_pattern(pattern) + "\n");
      }
    }
    print("Nothing was changed.\n");
    return exit_ok;
  }

  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_setup(Arguments& arguments) { return std::make_unique<Setup>(arguments); }

}  // namespace muskrat::cli

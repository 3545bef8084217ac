// muskrat setup: what the relay publishes to and the host reads from comes to stand on the broker; with --unbind and
// --remove, what has left the configuration goes.
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/setup_undo.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/event.hpp"

namespace muskrat::cli {
namespace {

class Setup : public Command {
 public:
  explicit Setup(Arguments& arguments) {
    arguments.flag("--dry-run", dry_run_, "Say what is there and what is missing; change nothing.");
    arguments.texts("--unbind", "PATTERN", unbind_,
                    "Declare nothing, but take this pattern off the queue of the endpoint given by --endpoint, which "
                    "subscribes to it no more.");
    arguments.text("--endpoint", "NAME", endpoint_, "Whose pattern --unbind takes off.");
    arguments.text("--remove", "NAME", remove_,
                   "Declare nothing, but delete the queues of this endpoint, which is not in the configuration any "
                   "more, with the messages in them.");
    arguments.flag("-y,--yes", yes_, "With --remove, do not ask.");
  }

  int run(const Globals& globals) override {
    if (unbind_.empty() != endpoint_.empty()) throw UsageError("--unbind and --endpoint go together");
    if (!unbind_.empty() && !remove_.empty())
      throw UsageError("--remove takes the bindings with the queues: leave out --unbind");
    if (yes_ && remove_.empty()) throw UsageError("--yes goes with --remove");
    const Config config = load(globals);
    if (!unbind_.empty()) return unbind_patterns(config, endpoint_, unbind_, dry_run_);
    if (!remove_.empty()) return remove_queues(config, remove_, dry_run_, yes_);
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

  bool dry_run_ = false, yes_ = false;
  std::vector<std::string> unbind_;
  std::string endpoint_, remove_;
};

}  // namespace

std::unique_ptr<Command> make_setup(Arguments& arguments) { return std::make_unique<Setup>(arguments); }

}  // namespace muskrat::cli

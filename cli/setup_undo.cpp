#include "cli/setup_undo.hpp"

#include <algorithm>
#include <array>

#include "cli/agreement.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "common/event.hpp"

namespace muskrat::cli {
namespace {

void require_endpoint_name(const std::string& endpoint) {
  const std::string objection = objection_to_endpoint_name(endpoint);
  if (!objection.empty()) throw UsageError("no endpoint is called " + harmless(endpoint) + ": " + objection);
}

std::vector<std::string> patterns_of(const Config& config, const std::string& endpoint) {
  for (const EndpointBinding& configured : endpoint_bindings(config))
    if (configured.endpoint == endpoint) return configured.patterns;
  return {};
}

// The binding of a pattern, if no pattern of `kept` makes the same: Frontend.* and Frontend.# are one.
std::string binding_to_undo(const std::string& endpoint, const std::string& pattern,
                            const std::vector<std::string>& kept) {
  std::string why;
  const auto binding = binding_of_pattern(pattern, &why);
  if (!binding) throw UsageError("--unbind " + harmless(pattern) + ": " + why);
  for (const std::string& other : kept)
    if (binding_of_pattern(other) == binding)
      throw UsageError("the endpoint " + endpoint + " still subscribes to " + other +
                       ": take it out of the configuration first, and reload the hosts");
  return *binding;
}

// With what to do where the broker does not let this user.
template <typename Ask>
auto asked(const std::string& what, Ask ask) {
  try {
    return ask();
  } catch (const amqp::ChannelError& error) {
    throw Failure(Remedy::stop, refusal_text(error, what));
  }
}

void close(amqp::Connection& broker) { broker.close(Deadline::in(std::chrono::seconds(2))); }

struct Found {
  std::string queue;
  amqp::Connection::QueueState state;
};

// Which of the endpoint's queues there are, its own first.
std::vector<Found> look(const Config& config, const std::string& endpoint) {
  amqp::Connection broker = open_broker(config, "setup");
  print(broker.server() + " at " + config.broker.place() + "\n");
  const std::array queues{config.topology.queue(endpoint), config.topology.dead_queue(endpoint)};
  std::vector<Found> found;
  for (const std::string& queue : queues) {
    const auto state = broker.queue_state(queue, Deadline::in(answer_time));
    if (state) found.push_back({queue, *state});
    print("  queue " + queue + ": " +
          (state ? counted(state->messages, "message") + ", " + counted(state->consumers, "consumer") : "not there") +
          "\n");
  }
  close(broker);
  return found;
}

bool consumed(const std::vector<Found>& found) {
  return std::any_of(found.begin(), found.end(), [](const Found& one) { return one.state.consumers > 0; });
}

// Over a connection of its own: the broker hangs up on one that is silent while a person thinks.
void remove(const Config& config, const std::vector<Found>& found) {
  amqp::Connection broker = open_broker(config, "setup");
  for (const Found& one : found) {
    const uint32_t messages =
        asked("queue " + one.queue, [&] { return broker.delete_queue(one.queue, Deadline::in(answer_time)); });
    print("queue " + one.queue + " deleted, with " + counted(messages, "message") + ".\n");
  }
  close(broker);
}

}  // namespace

int unbind_patterns(const Config& config, const std::string& endpoint, const std::vector<std::string>& patterns,
                    bool dry_run) {
  require_endpoint_name(endpoint);
  const auto kept = patterns_of(config, endpoint);
  std::vector<std::string> bindings;
  bindings.reserve(patterns.size());
  for (const std::string& pattern : patterns) bindings.push_back(binding_to_undo(endpoint, pattern, kept));
  const std::string queue = config.topology.queue(endpoint), exchange = config.topology.exchange();
  const Deadline deadline = Deadline::in(answer_time);
  amqp::Connection broker = open_broker(config, "setup");
  print(broker.server() + " at " + config.broker.place() + "\n");
  const bool there = broker.queue_state(queue, deadline).has_value();
  if (!there) print("There is no queue " + queue + "; nothing was changed.\n");
  for (size_t i = 0; there && i < bindings.size(); ++i) {
    // AMQP cannot be asked whether it was there.
    if (!dry_run) asked("queue " + queue, [&] { broker.unbind_queue(queue, exchange, bindings[i], deadline); });
    print("  binding " + exchange + " -> " + queue + ": " + bindings[i] +
          (dry_run ? " would go, if it is there\n" : " is not there any more\n"));
  }
  if (there && dry_run) print("Nothing was changed.\n");
  close(broker);
  return there ? exit_ok : exit_problems;
}

int remove_queues(const Config& config, const std::string& endpoint, bool dry_run, bool yes) {
  require_endpoint_name(endpoint);
  const auto& configured = config.endpoints;
  if (std::any_of(configured.begin(), configured.end(), [&](const auto& one) { return one.name == endpoint; }))
    throw UsageError("the endpoint " + endpoint +
                     " is still in the configuration: take it out first, and reload the hosts");
  const std::vector<Found> found = look(config, endpoint);
  if (found.empty()) {
    print("Nothing of an endpoint " + endpoint + " is there; nothing was deleted.\n");
    return exit_problems;
  }
  if (consumed(found)) {
    print("Somebody consumes; nothing was deleted. A host has that endpoint still: reload or stop it first.\n");
    return exit_problems;
  }
  if (dry_run) {
    print("Nothing was changed.\n");
    return exit_ok;
  }
  const bool empty = std::all_of(found.begin(), found.end(), [](const Found& one) { return one.state.messages == 0; });
  if (!empty && !yes && !agreed("The messages will be gone for good. Type the endpoint's name to go on: ", endpoint)) {
    print("Nothing was deleted.\n");
    return exit_usage;
  }
  remove(config, found);
  return exit_ok;
}

}  // namespace muskrat::cli

#include "consumer/consumer.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>

#include "common/log.hpp"
#include "common/threads.hpp"
#include "consumer/host.hpp"
#include "consumer/jobs.hpp"
#include "consumer/pause_watch.hpp"
#include "consumer/queue_depths.hpp"
#include "consumer/state/store.hpp"
#include "consumer/superseded_log.hpp"

namespace muskrat {
namespace {

const EndpointKind& kind_of(const Component& component) {
  for (const EndpointKind& kind : endpoint_kinds())
    if (kind.name == component.kind) return kind;
  throw std::logic_error("no endpoint kind " + component.kind);  // load_config refuses it
}

// True after a clean stop. One endpoint that cannot go on leaves the others alone.
bool host_endpoint(const Component& component, const Config& config, const PauseWatch& pauses,
                   SupersededLog& superseded, ParkNotes& notes, Jobs& jobs, StatusBoard& board, const Stop& stop) {
  try {
    Host(kind_of(component), component, config, pauses, superseded, notes, jobs, board, stop).run();
    return true;
  } catch (const std::exception& error) {
    log::error("consumer", "endpoint stopped", {{"endpoint", component.name}, {"why", error.what()}});
    board.set("endpoint " + component.name, false, "stopped", error.what());
    return false;
  }
}

}  // namespace

int run_consumer(const Config& config, StatusBoard& board, const Stop& stop) {
  if (config.endpoints.empty())
    throw Failure(Remedy::stop, config.file + " has no endpoints: there is nothing to consume for");
  std::optional<state::HostLock> lock;
  if (needs_state(config.endpoints) && !config.consumer.has("state_dsn"))
    lock.emplace(state::sqlite_path(config.consumer));
  const PauseWatch pauses(config.consumer);
  SupersededLog superseded(config.consumer);
  ParkNotes notes(config.consumer);
  Jobs jobs(config.consumer);
  const QueueDepths depths(config);
  std::atomic<bool> clean = true;
  std::vector<std::thread> threads;
  for (const Component& component : config.endpoints)
    threads.emplace_back([&, endpoint = &component] {
      name_this_thread("host " + endpoint->name);
      if (!host_endpoint(*endpoint, config, pauses, superseded, notes, jobs, board, stop)) clean = false;
    });
  for (std::thread& thread : threads) thread.join();
  return clean ? 0 : 1;
}

}  // namespace muskrat

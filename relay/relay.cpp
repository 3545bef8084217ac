#include "relay/relay.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "common/log.hpp"
#include "common/threads.hpp"
#include "relay/scheduled/source.hpp"
#include "relay/sources.hpp"

namespace muskrat {
namespace {

constexpr Option options[] = {
    {"listen", OptionType::text, "127.0.0.1:9464", "",
     "Address of /metrics, /healthz, /readyz and the status page; empty = none."},
    {"token", OptionType::secret, "", "",
     "The bearer token that the status page and the metrics ask for; needed when listen is not loopback. /healthz and "
     "/readyz answer without it too, with yes or no."},
    {"state", OptionType::text, "muskrat-relay.sqlite", "",
     "The SQLite file where scheduled sources keep their cursors; under $STATE_DIRECTORY when it is relative and there "
     "is one. Made when there is a scheduled source."},
};

std::unique_ptr<Source> make_source(const Component& component, const Config& config, StatusBoard& board) {
  const SourceKind& kind = kind_of(component);
  const SourceContext context{component, config, board};
  if (kind.reader == nullptr) return kind.make(context);
  return std::make_unique<ScheduledSource>(context, kind.reader(component));
}

// False when the source cannot go on. The other sources do.
bool run_source(const Component& component, const Config& config, StatusBoard& board, const Stop& stop) {
  try {
    make_source(component, config, board)->run(stop);
    return true;
  } catch (const std::exception& error) {
    log::error("relay", "source cannot go on", {{"source", component.name}, {"why", error.what()}});
    board.set("source " + component.name, false, "stopped", error.what());
    return false;
  }
}

}  // namespace

OptionTable relay_options() { return options; }

int run_relay(const Config& config, StatusBoard& board, const Stop& stop) {
  if (config.sources.empty()) {
    log::error("relay", "nothing to do", {{"why", config.file + " names no sources; add one under `sources:`"}});
    return 1;
  }
  std::atomic<bool> all_well{true};
  std::vector<std::thread> threads;
  for (const Component& component : config.sources) {
    threads.emplace_back([&] {
      name_this_thread("source " + component.name);
      if (!run_source(component, config, board, stop)) all_well = false;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return all_well ? 0 : 1;
}

}  // namespace muskrat

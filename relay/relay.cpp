#include "relay/relay.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/log.hpp"
#include "common/threads.hpp"
#include "relay/scheduled/source.hpp"
#include "relay/sources.hpp"

namespace muskrat {
namespace {

constexpr milliseconds look_again{5000}, tick{500};

// How many sources run, or may yet. Those that cannot start wait for as long as there is one.
class Company {
 public:
  explicit Company(size_t sources) : going_(sources) {}
  // False where that was the last one: it is over for all.
  bool leave() {
    const std::lock_guard lock(mutex_);
    return --going_ > 0;
  }
  // Counts again; false when it is over.
  bool join() {
    const std::lock_guard lock(mutex_);
    if (going_ == 0) return false;
    ++going_;
    return true;
  }
  bool over() const {
    const std::lock_guard lock(mutex_);
    return going_ == 0;
  }

 private:
  mutable std::mutex mutex_;
  size_t going_;
};

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

// Until a clean end; or what keeps it from starting.
std::optional<std::string> try_source(const Component& component, const Config& config, StatusBoard& board,
                                      const Stop& stop) {
  try {
    make_source(component, config, board)->run(stop);
    return std::nullopt;
  } catch (const CannotStart& problem) {
    return problem.what();
  }
}

// False when it may not be tried again.
bool wait_for_another_try(Company& company, const Stop& stop) {
  const Deadline deadline = Deadline::in(look_again);
  while (!deadline.passed() && !stop.requested() && !company.over()) stop.wait(tick);
  return !stop.requested() && company.join();
}

// False when the source cannot go on. The other sources do.
bool run_source(const Component& component, const Config& config, StatusBoard& board, Company& company,
                const Stop& stop) {
  std::string why, told;
  try {
    do {
      const auto problem = try_source(component, config, board, stop);
      if (!problem) return true;
      why = *problem;
      board.set("source " + component.name, false, "stopped", why);
      if (!company.leave()) break;
      if (why != std::exchange(told, why)) {
        log::error("relay", "source stopped",
                   {{"source", component.name}, {"why", why}, {"retry_ms", static_cast<int64_t>(look_again.count())}});
      }
    } while (wait_for_another_try(company, stop));
  } catch (const std::exception& error) {
    why = error.what();
    board.set("source " + component.name, false, "stopped", why);
    company.leave();
  }
  log::error("relay", "source cannot go on", {{"source", component.name}, {"why", why}});
  return false;
}

}  // namespace

OptionTable relay_options() { return options; }

int run_relay(const Config& config, StatusBoard& board, const Stop& stop) {
  if (config.sources.empty()) {
    log::error("relay", "nothing to do", {{"why", config.file + " names no sources; add one under `sources:`"}});
    return 1;
  }
  std::atomic<bool> all_well{true};
  Company company(config.sources.size());
  std::vector<std::thread> threads;
  for (const Component& component : config.sources) {
    threads.emplace_back([&] {
      name_this_thread("source " + component.name);
      if (!run_source(component, config, board, company, stop)) all_well = false;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return all_well ? 0 : 1;
}

}  // namespace muskrat

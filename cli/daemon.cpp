#include "cli/daemon.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "cli/exit.hpp"
#include "common/log.hpp"

namespace muskrat::cli {
namespace {

log::Level level_of(const std::string& word) {
  if (word == "debug") return log::Level::debug;
  if (word == "warning") return log::Level::warning;
  return word == "error" ? log::Level::error : log::Level::info;
}

log::Format format_of(const std::string& word) {
  if (word == "text") return log::Format::text;
  return word == "json" ? log::Format::json : log::Format::automatic;
}

void start_log(const Config& config) {
  log::start(level_of(config.log.text("level")), format_of(config.log.text("format")));
  for (const Problem& warning : config.warnings)
    log::warning("config", "questionable", {{"problem", describe(warning)}});
}

void keep_only(const Daemon& daemon, Config& config, const std::string& only) {
  auto& components = config.*daemon.components;
  if (components.empty()) {
    throw UsageError(config.file + " has no " + daemon.what + "; add one under " + daemon.what + "s:");
  }
  if (only.empty()) return;
  const Component chosen = find_component(components, only, daemon.what);
  components = {chosen};
}

// Hands out configurations, one a round. Its reload() runs on the signal thread, everything else on the main one.
class Rounds {
 public:
  Rounds(const Daemon& daemon, std::string path, std::string only, Config first)
      : daemon_(daemon), path_(std::move(path)), only_(std::move(only)), next_(std::move(first)) {}

  // The configuration to run now; nullopt when the daemon is to end.
  std::optional<Config> take(Stop& round) {
    const std::lock_guard lock(mutex_);
    if (ended_ || !next_) return std::nullopt;
    round_ = &round;
    return std::exchange(next_, std::nullopt);
  }

  // To be run again, unless a newer one has come.
  void put_back(Config config) {
    const std::lock_guard lock(mutex_);
    if (!next_) next_ = std::move(config);
  }

  void leave() {
    const std::lock_guard lock(mutex_);
    round_ = nullptr;
  }

  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (round_) round_->request();
  }

  // Validated first; a wrong one changes nothing.
  void reload() {
    try {
      Loaded loaded = load_config(path_, schema());
      if (!loaded.ok()) return refuse(loaded.problems);
      keep_only(daemon_, loaded.config, only_);
      log::info("config", "reloaded", {{"file", path_}});
      const std::lock_guard lock(mutex_);
      next_ = std::move(loaded.config);
      if (round_) round_->request();
    } catch (const std::exception& error) {
      log::error("config", "reload refused, the old configuration stays", {{"why", error.what()}});
    }
  }

  static void on_hangup(void* self) { static_cast<Rounds*>(self)->reload(); }

 private:
  void refuse(const std::vector<Problem>& problems) {
    log::error("config", "reload refused, the old configuration stays", {{"file", path_}});
    for (const Problem& problem : problems) log::error("config", "wrong", {{"problem", describe(problem)}});
  }

  const Daemon& daemon_;
  const std::string path_, only_;
  std::mutex mutex_;
  std::optional<Config> next_;
  Stop* round_ = nullptr;
  bool ended_ = false;
};

// Also where a round ends by an exception: nobody may ask one to stop that is gone.
struct Leaving {
  Rounds& rounds;
  ~Leaving() { rounds.leave(); }
};

// Passes the request to stop on to whatever round is running.
class Forwarder {
 public:
  Forwarder(Stop& from, Rounds& to)
      : from_(from), thread_([&from, &to] {
          while (!from.wait(std::chrono::hours(1))) continue;
          to.end();
        }) {}
  ~Forwarder() {
    from_.request();
    thread_.join();
  }

 private:
  Stop& from_;
  std::thread thread_;
};

int run_round(const Daemon& daemon, const Config& config, StatusBoard& board, int port, const Stop& stop) {
  log::info(daemon.name, "started",
            {{"version", MUSKRAT_VERSION},
             {"config", config.file},
             {"broker", config.broker.place()},
             {"components", static_cast<uint64_t>((config.*daemon.components).size())},
             {"status_port", port}});
  return daemon.run(config, board, stop);
}

// The status page of one configuration. Where a reloaded one cannot have it (its port is taken), nullptr: the one
// before it stays in force.
std::unique_ptr<HealthServer> open_page(const Daemon& daemon, const Config& config, const StatusBoard& board,
                                        bool reloaded) {
  const Settings& section = config.*daemon.section;
  try {
    return std::make_unique<HealthServer>(section.text("listen"), section.fresh_secret("token"), board);
  } catch (const Failure& failure) {
    if (!reloaded) throw;
    log::error("config", "reload refused, the old configuration stays", {{"why", failure.what()}});
    return nullptr;
  }
}

}  // namespace

int run_daemon(const Daemon& daemon, const Globals& globals, const std::string& only) {
  Stop terminate;
  Config first = load(globals);
  keep_only(daemon, first, only);
  Rounds rounds(daemon, config_path(globals), only, std::move(first));
  // The signals are blocked before any other thread starts, so that no other thread can get them.
  SignalThread signals(terminate, &Rounds::on_hangup, &rounds);
  const Forwarder forwarder(terminate, rounds);
  int code = exit_ok;
  std::optional<Config> before;
  for (;;) {
    Stop round;
    const Leaving leaving{rounds};
    auto config = rounds.take(round);
    if (!config) break;
    start_log(*config);
    StatusBoard board;
    for (const Component& component : (*config).*daemon.components)
      board.set(daemon.what + " " + component.name, false, "starting", "");
    if (const auto page = open_page(daemon, *config, board, before.has_value())) {
      code = run_round(daemon, *config, board, page->port(), round);
      before = std::move(config);
    } else {
      rounds.put_back(std::move(*std::exchange(before, std::nullopt)));
    }
  }
  log::info(daemon.name, "stopped", {{"exit_code", code}});
  return code;
}

}  // namespace muskrat::cli

#include "consumer/state/store.hpp"

#include <filesystem>

#include "common/utc_text.hpp"

namespace muskrat::state {

std::string sqlite_path(const Settings& consumer) { return state_path(consumer.text("state")); }

std::string describe(const Settings& consumer) {
  return consumer.has("state_dsn") ? "PostgreSQL (state_dsn)" : "SQLite file " + sqlite_path(consumer);
}

std::string describe(const Pause& pause) {
  return "since " + utc_text(pause.since_us) + " by " + pause.by + (pause.why.empty() ? "" : ": ") + pause.why;
}

std::string describe(const Parked& parked) { return "until " + utc_text(parked.until_us) + ", because " + parked.why; }

std::unique_ptr<Store> open_store(const Settings& consumer, Deadline deadline) {
  if (!consumer.has("state_dsn")) return open_sqlite(sqlite_path(consumer));
  return open_postgres(consumer.fresh_secret("state_dsn"),
                       consumer.has("state_password") ? consumer.fresh_secret("state_password") : "", deadline);
}

std::unique_ptr<Store> find_store(const Settings& consumer, Deadline deadline) {
  if (consumer.has("state_dsn")) return open_store(consumer, deadline);
  const std::string path = sqlite_path(consumer);
  std::error_code error;
  if (std::filesystem::exists(path, error)) return open_sqlite(path);
  if (error) throw Failure(Remedy::reconnect, "cannot look for the file " + path + ": " + error.message());
  return nullptr;
}

HostLock::HostLock(const std::string& database_path)
    : lock_(FileLock::try_take(database_path + ".lock", "consumer.state")) {
  if (lock_) return;
  throw Failure(Remedy::stop, "another muskrat consume keeps its state in " + database_path +
                                  "; stop that one, or name another file with consumer.state, or let both keep it in "
                                  "PostgreSQL with consumer.state_dsn");
}

}  // namespace muskrat::state

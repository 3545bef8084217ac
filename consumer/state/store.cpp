#include "consumer/state/store.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/utc_text.hpp"

namespace muskrat::state {

std::string sqlite_path(const Settings& consumer) {
  const std::filesystem::path path = consumer.text("state");
  const char* folder = std::getenv("STATE_DIRECTORY");
  if (path.is_absolute() || folder == nullptr || *folder == '\0') return path.string();
  return (std::filesystem::path(folder) / path).string();
}

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

// A file beside the database: a descriptor of the database itself, closed, would drop SQLite's own locks.
HostLock::HostLock(const std::string& database_path) {
  const std::string path = database_path + ".lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0)
    throw Failure(Remedy::stop, "cannot make the file " + path + ": " + std::strerror(errno) +
                                    "; make its folder, or name another with consumer.state");
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  ::close(fd_);
  throw Failure(Remedy::stop, "another muskrat consume keeps its state in " + database_path +
                                  "; stop that one, or name another file with consumer.state, or let both keep it in "
                                  "PostgreSQL with consumer.state_dsn");
}

HostLock::~HostLock() { ::close(fd_); }

}  // namespace muskrat::state

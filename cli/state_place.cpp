#include "cli/state_place.hpp"

#include <filesystem>
#include <system_error>

#include "cli/terminal.hpp"
#include "consumer/state/store.hpp"
#include "relay/scheduled/state.hpp"

namespace muskrat::cli {

std::string state_place(const Settings& consumer) {
  if (consumer.has("state_dsn")) return state::describe(consumer);
  return "SQLite file " + std::filesystem::absolute(state::sqlite_path(consumer)).string();
}

namespace {

void warn_of(const std::string& path, const std::string& setting, const std::string& daemon) {
  if (std::filesystem::path(path).is_absolute()) return;
  complain("warning: " + setting + " is a relative path and counts from this working directory; a " + daemon +
           " that runs elsewhere (under\nsystemd: in /var/lib/muskrat) does not see this. Give it an absolute path, or "
           "run the verb with STATE_DIRECTORY set.\n");
}

// A file that cannot be looked for is the reader's problem to tell of.
void warn_of_absent(const std::string& path, const std::string& setting, const std::string& what_is_missed) {
  std::error_code error;
  if (std::filesystem::path(path).is_absolute() || std::filesystem::exists(path, error) || error) return;
  complain("warning: " + setting + " is a relative path, and there is no such file in this working directory. " +
           what_is_missed +
           "\nelsewhere (under systemd: in /var/lib/muskrat) is not shown. Give it an absolute path, or "
           "run the verb with STATE_DIRECTORY set.\n");
}

}  // namespace

void warn_of_absent_state(const Settings& consumer) {
  if (consumer.has("state_dsn")) return;
  warn_of_absent(state::sqlite_path(consumer), "consumer.state",
                 "Which endpoints are paused or parked by a host that runs");
}

void warn_of_absent_relay_state(const Settings& relay) {
  warn_of_absent(scheduled_state_path(relay), "relay.state", "How scheduled sources fare with a relay that runs");
}

void warn_of_relative_state(const Settings& consumer) {
  if (!consumer.has("state_dsn")) warn_of(state::sqlite_path(consumer), "consumer.state", "host");
}

void warn_of_relative_relay_state(const Settings& relay) {
  warn_of(scheduled_state_path(relay), "relay.state", "relay");
}

}  // namespace muskrat::cli

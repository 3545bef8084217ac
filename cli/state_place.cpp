#include "cli/state_place.hpp"

#include <filesystem>

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

}  // namespace

void warn_of_relative_state(const Settings& consumer) {
  if (!consumer.has("state_dsn")) warn_of(state::sqlite_path(consumer), "consumer.state", "host");
}

void warn_of_relative_relay_state(const Settings& relay) {
  warn_of(scheduled_state_path(relay), "relay.state", "relay");
}

}  // namespace muskrat::cli

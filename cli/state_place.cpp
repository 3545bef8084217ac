#include "cli/state_place.hpp"

#include <filesystem>

#include "cli/terminal.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::cli {

std::string state_place(const Settings& consumer) {
  if (consumer.has("state_dsn")) return state::describe(consumer);
  return "SQLite file " + std::filesystem::absolute(state::sqlite_path(consumer)).string();
}

void warn_of_relative_state(const Settings& consumer) {
  if (consumer.has("state_dsn") || std::filesystem::path(state::sqlite_path(consumer)).is_absolute()) return;
  complain(
      "warning: consumer.state is a relative path and counts from this working directory; a host that runs elsewhere "
      "(under\nsystemd: in /var/lib/muskrat) does not see this. Give it an absolute path, or run the verb with "
      "STATE_DIRECTORY set.\n");
}

}  // namespace muskrat::cli

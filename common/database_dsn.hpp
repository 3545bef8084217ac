// Whether an option's DSN is one at all: what can be said of it without asking a server.
//
// Used by the kinds that have databases, and by the loader for the host's state database. A wrong DSN becomes a problem
// with its line; the text never shows the DSN, for it may hold a password. Where an option is not given, nothing is
// said. What it does not do: resolve host names, read service files, connect.
// Thread rule: free functions.
#pragma once

#include <string_view>
#include <vector>

#include "common/options.hpp"

namespace muskrat {

void check_postgres_dsn(const Settings& settings, std::string_view option, std::vector<Problem>& problems);
void check_mysql_dsn(const Settings& settings, std::string_view option, std::vector<Problem>& problems);

// mysql:// and mariadb:// name MySQL; all else is libpq's.
bool names_mysql(std::string_view dsn);

}  // namespace muskrat

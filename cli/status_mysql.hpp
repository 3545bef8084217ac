// What `muskrat status` finds out about a source in MySQL or MariaDB, which has no function muskrat.status() to say it.
//
// Used by status_collect.cpp. Throws Failure when the server cannot be asked. Thread rule: the main thread.
#pragma once

#include "cli/status.hpp"

namespace muskrat::cli {

void ask_mysql_status(const Component& source, const Stop& stop, SourceStatus& status);

}  // namespace muskrat::cli

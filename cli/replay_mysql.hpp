// The class behind replay_source.hpp for MySQL and MariaDB, whose published events are in muskrat.history.
//
// Used by replay_source.cpp. Thread rule: the main thread.
#pragma once

#include <memory>

#include "cli/replay_source.hpp"

namespace muskrat::cli {

std::unique_ptr<ReplaySource> open_mysql_replay(const Component& source, const ReplayOrder& order, const Stop& stop);

}  // namespace muskrat::cli

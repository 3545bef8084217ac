// Events from a file or standard input: one JSON object, or one a line.
//
// Used by `muskrat explain`. Thread rule: the main thread.
#pragma once

#include <string>
#include <vector>

#include "common/event.hpp"

namespace muskrat::cli {

// `path`: "-" is standard input. UsageError that says in which line what is wrong.
std::vector<Event> read_events(const std::string& path);

}  // namespace muskrat::cli

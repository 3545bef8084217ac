// What was tried with an event: a line for each failed attempt and each death, kept with it and written on its letter.
//
// Used by consumer/host_events.cpp; shown by `muskrat dead show`. A line is "2026-11-25T14:30:00Z <what>", shortened;
// of more than ten, the first and the last nine are kept. Pure: time is handed in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace muskrat::trail {

void add(std::string& trail, int64_t at_us, std::string_view what);

}  // namespace muskrat::trail

// An event as a line for people, and as a line of JSON for programs.
//
// Used by tail.cpp and dead.cpp. Thread rule: free functions.
#pragma once

#include <string>

#include "common/event.hpp"

namespace muskrat::cli {

// "21:13:05.123  Frontend.Customer.Signup  insert  [48239]  {…}", cut to the terminal's width; ends with a line break.
std::string event_line(const Event& event);

// {"time":…,"routing_key":…,"key":…,"op":…,"source":…,"epoch":…,"seq":…,"message_id":…,"body":…} without a line break.
// A body that is not JSON stands as a string under "text" instead.
std::string event_json(const Event& event);

// Microseconds since 1970 as "2026-11-23T21:13:05.123Z"; "" for 0.
std::string iso_time(int64_t us);

}  // namespace muskrat::cli

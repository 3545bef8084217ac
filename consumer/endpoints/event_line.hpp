// An event as one line of JSON: its transport facts, then its body. The shape stands in docs/endpoints.md.
//
// Used by the endpoint kinds file, http (payload: event) and exec. Thread rule: free functions.
#pragma once

#include <string>

#include "common/event.hpp"
#include "common/json.hpp"

namespace muskrat {

// Without a line break at its end, and with none within.
std::string event_line(const Event& event, const json::Value& body);
// The body as it is, but on one line.
std::string one_line(const std::string& text, const json::Value& value);

}  // namespace muskrat

// An event as one line of JSON: its transport facts, then its body. The shape stands in docs/endpoints.md.
//
// Used by the endpoint kinds file, http and exec. Thread rule: free functions.
#pragma once

#include <string>

#include "common/event.hpp"
#include "common/json.hpp"

namespace muskrat {

// Without a line break at its end, and with none within. `document`: what the endpoint's mapping made of the body.
std::string event_line(const Event& event, const std::string& document);
// What capture left out of the body: a JSON array of paths on one line; "" = nothing.
std::string omitted_json(const Event& event);
// A JSON text as it is, but on one line.
std::string one_line(const std::string& document);

}  // namespace muskrat

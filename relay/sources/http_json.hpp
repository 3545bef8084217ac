// The source kind `http-json`: records from a JSON API, a window of time at a time, on a schedule. See
// docs/scheduled-sources.md.
#pragma once

#include "relay/sources.hpp"

namespace muskrat::http_json {

extern const SourceKind kind;

}  // namespace muskrat::http_json

// A wall time for people and logs: "2026-11-25T12:00:00Z".
//
// Used for the state database's times, parked endpoints and their metrics. Thread rule: a free function.
#pragma once

#include <cstdint>
#include <string>

namespace muskrat {

// Microseconds since 1970, to the second.
std::string utc_text(int64_t us);

}  // namespace muskrat

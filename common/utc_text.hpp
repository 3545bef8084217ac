// A wall time for people and logs: "2026-11-25T12:00:00Z".
//
// Used for the state database's times, parked endpoints and their metrics. Thread rule: a free function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace muskrat {

// Microseconds since 1970, to the second.
std::string utc_text(int64_t us);
// The same with microseconds where there are any: "2026-11-25T12:00:00.25Z".
std::string utc_text_exact(int64_t us);
// An RFC 3339 date-time ("2026-11-25T12:00:00.5+01:00") or a date as microseconds since 1970; nullopt for what is none.
std::optional<int64_t> utc_from_text(std::string_view text);

}  // namespace muskrat

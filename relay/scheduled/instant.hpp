// "30d" or "2026-01-01": the instant at which a scheduled source is told to begin.
//
// Used by the kinds that take `start` and --since. Thread rule: a free function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace muskrat {

// Microseconds since 1970; so long ago, or a date or time; nullopt for what is neither.
std::optional<int64_t> instant_of(const std::string& text);

}  // namespace muskrat

// Durations as they are written in configurations: "250ms", "20s", "1h".
//
// Used where one stands inside a longer text (consumer/limits/amount.cpp); options of the type `duration` are read by
// settings_builder.cpp, which has both functions. Thread rule: free functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/clock.hpp"

namespace muskrat {

// nullopt for what is no duration.
std::optional<milliseconds> parse_duration(std::string_view text);
// In the largest unit that fits.
std::string duration_text(milliseconds span);

}  // namespace muskrat

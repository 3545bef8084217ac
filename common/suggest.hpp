// "Did you mean …?": the nearest of some names by edit distance.
//
// Used by config (unknown keys, kinds) and the CLI (component names).
// Thread rule: free functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace muskrat {

// The candidate nearest to `name`, if it is near enough to be what was meant: one slip in short names, a third of the
// letters in long ones; case does not count.
std::optional<std::string_view> nearest(std::string_view name, std::span<const std::string_view> candidates);

// " (did you mean relay?)" or "".
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates);

// "a, b and c"; "none" for no names.
std::string listed(std::span<const std::string_view> names);

}  // namespace muskrat

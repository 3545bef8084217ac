// Two JSON values side by side, and one over several lines.
//
// Used by `muskrat test` (what was expected, what came) and `muskrat explain`. Numbers are equal when their digits are:
// 1.0 and 1.00 differ, as they do for who reads them as text. The order of members makes no difference.
// Thread rule: free functions.
#pragma once

#include <string>
#include <vector>

#include "common/json.hpp"

namespace muskrat::json {

// A line for each difference: "customer.id: expected 7, got \"7\""; empty when they are equal.
std::vector<std::string> differences(const Value& expected, const Value& got);

// Indented by two, each line but the first behind `margin`; every digit as it was.
std::string pretty(const Value& value, const std::string& margin = "");

}  // namespace muskrat::json

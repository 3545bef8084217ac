// Numbers that jq does not hold exactly: it computes in doubles, and would change them without a word.
//
// Used by jq.cpp (what an expression reads) and jq_scan.cpp (what stands in it). Thread rule: free functions.
#pragma once

#include <string_view>

namespace muskrat::jq {

// Beyond this, in either direction, an integer may be one that doubles skip: 2^53 + 1 is read, and computed, as 2^53.
inline constexpr double largest_exact = 9007199254740991.0;  // 2^53 - 1

// Whether jq keeps the number: below 2^53, and every digit is there again when it is written (but for zeros at the
// end of a fraction: 19.90 is 19.9). `number` is written as JSON has it.
bool exact_in_jq(std::string_view number);

// Whether it keeps all numbers of a JSON text.
bool all_exact_in_jq(std::string_view json);

}  // namespace muskrat::jq

// Numbers that RapidJSON will not read: it refuses what is beyond a double's range, even when asked for the digits
// alone.
//
// Used by json_reader.cpp when that happens: numeric columns and json documents may hold thousands of digits. Each such
// number is taken out of the text, checked, and put back by its place among the text's numbers.
// Thread rule: free functions.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace muskrat::json {

struct WithoutHugeNumbers {
  std::string text;                          // with 0 in place of each
  std::map<size_t, std::string_view> taken;  // by ordinal among all numbers of the text; views into the original
};

// Only well-formed numbers are taken; what is malformed stays, for RapidJSON to refuse.
WithoutHugeNumbers without_huge_numbers(std::string_view text);

}  // namespace muskrat::json

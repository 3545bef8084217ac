// Exact conversions of one field: `as`, `lower`, `trim`. No digit of a number is lost, and what does not fit is an
// error that names the rule and never the value.
//
// Used by mapping.cpp. Pure. Thread rule: free functions. It does not guess: a text is a number only when it is written
// as one, and a timestamp without a zone is UTC.
#pragma once

#include <string>
#include <string_view>

#include "common/field_source.hpp"

namespace muskrat {

enum class As { as_it_is, text, integer, number, boolean, json, timestamp, date };

// The names that the option `as` takes, as a choice's range.
inline constexpr std::string_view as_names = "text|integer|number|boolean|json|timestamp|date";
As as_from_name(std::string_view name);  // "" and unknown: as_it_is

// Changes a field whose state is `value`; false + why ("is not a whole number") where it cannot become that.
bool convert(FieldValue& field, As as, std::string& why);

void trim(std::string& text);
void to_lower(std::string& text);  // A-Z alone

// "2026-11-23T21:12:14.5+02:00" (or with a space, or a date alone) as UTC: "2026-11-23T19:12:14.5Z"; "" for what is
// none.
std::string utc_timestamp(std::string_view text);

}  // namespace muskrat

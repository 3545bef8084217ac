// Which keys of an endpoint have a row in a table of MySQL or MariaDB.
//
// Used by verify_mysql.cpp. A value's text is compared digit by digit and byte by byte, whatever the column's collation
// finds equal: so both sides are brought into one form, and what cannot be in that form is nowhere in the source. Pure
// text from plain values: no connection, any thread.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "capture_mysql/table.hpp"
#include "cli/verify_source.hpp"

namespace muskrat::cli::mysql_keys {

// In which family of types a value's text means the same at the endpoint (as its kind names the type) and here; "" for
// types that are in none.
std::string family_of(const std::string& endpoint_type);
std::string family_of(const capture_mysql::Column& column);

// "1.50" of the number family as "1.5"; "" for what is no value of the family.
std::string in_one_form(const std::string& family, const std::string& text);

// The distinct values of the finder's columns, each as the endpoint's text, in rows that have one of these. `quote`
// makes a string literal. "" when none of them can be there.
std::string present(const capture_mysql::Table& table, const Finder& finder, std::span<const KeyTexts> values,
                    const std::string& condition, const std::function<std::string(const std::string&)>& quote);

inline constexpr const char* row = "muskrat_row";  // under which name `condition` knows a row

}  // namespace muskrat::cli::mysql_keys

// An attachment's condition over bare column names, made into one over OLD's or NEW's.
//
// Used by generator.cpp. Reads SQL's tokens and no more: strings, comments, quoted and bare names. What the expression
// means is checked by the server when the trigger is created.
#pragma once

#include <string>
#include <vector>

#include "capture_mysql/table.hpp"

namespace muskrat::capture_mysql {

// `row`: OLD or NEW. Names that are columns are qualified (not those of functions); Refused for names with dots,
// subqueries, variables, comments, a ';', an unfinished string, and a double-quoted string (which is a name to some).
// `used`, when given, gets the columns.
std::string qualified_condition(const Table& table, const std::string& condition, const std::string& row,
                                std::vector<std::string>* used = nullptr);

}  // namespace muskrat::capture_mysql

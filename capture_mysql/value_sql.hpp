// SQL that writes one column's value as JSON text: the same text that PostgreSQL's side writes for the same value.
//
// Used by body_sql.cpp and generator.cpp. Pure text; docs/mysql.md has the table of types.
#pragma once

#include <string>
#include <vector>

#include "capture_mysql/table.hpp"

namespace muskrat::capture_mysql {

// Why a column cannot be captured on that server; "" when it can.
std::string column_problem(const Column& column, bool mariadb);

// `row` is OLD or NEW. The expression is SQL NULL only where the text outgrows max_allowed_packet.
std::string value_sql(const Column& column, const std::string& row, bool mariadb);
// As an ordering key has it: numbers without trailing zeros.
std::string key_value_sql(const Column& column, const std::string& row, bool mariadb);
// An SQL literal of the column's value, by which its row is found again and the next one sought; "" where the type has
// none that is exact.
std::string literal_sql(const Column& column, const std::string& row);
// True when OLD and NEW differ in any byte.
std::string changed_sql(const Column& column);

// May be long enough to be left out of a body that is too large.
bool may_be_large(const Column& column);
// True only where the texts of these columns, and `names` bytes of names, are below a megabyte for sure: no limit is in
// the way then. Reads the lengths of the large columns alone.
std::string fits_sql(const std::vector<const Column*>& columns, size_t names, const std::string& row);
bool is_number(const Column& column);

}  // namespace muskrat::capture_mysql

// The statements for PostgreSQL that are made of a query: pages by key, which comes next and from where; all rows.
//
// Used by sql_query_postgres.cpp. Pure text: the query stands as a subselect, names are quoted, values are
// parameters. Thread rule: plain values.
#pragma once

#include <string>

#include "relay/sources/sql_query_db.hpp"

namespace muskrat::sql_query::postgres {

// The type of the cursor column, as text. Reads no row, and is refused when a column of the shape is not there.
std::string type_sql(const Shape& shape);

// Whether the cursor's $1 comes after its $2.
std::string behind_sql(const Shape& shape);

// The value that lies $2 (an interval or a number) before the cursor's $1.
std::string before_sql(const std::string& type, bool by_time);

// Columns: body, rank, whether it lies behind the mark, whether it is ahead of the clock, then the cursor and each key
// as text. Parameters: the place's parts, or the value; then the mark's parts, where there is one.
std::string page_sql(const Shape& shape, const PageOrder& page);

// The planner's guess at the rows that lie from there on. Parameters as for the page's beginning.
std::string estimate_sql(const Shape& shape, const PageOrder& page);

// ---- all rows as of one instant ----

// The time, as RFC 3339 in UTC.
inline constexpr const char* instant_sql =
    "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
// A cursor named muskrat_rows over the bodies, each with the member as_of where one is given; that is a literal.
std::string declare_sql(const Shape& shape, const std::string& as_of);
std::string explain_all_sql(const Shape& shape);
// Refused when a column of the key is not there. Reads no row.
std::string key_sql(const Shape& shape);
// All columns, no row.
std::string columns_sql(const Shape& shape);

}  // namespace muskrat::sql_query::postgres

// The statements for MySQL and MariaDB that are made of a query: pages by key, all rows.
//
// Used by sql_query_mysql.cpp. Pure text: the query stands as a derived table, names are quoted, values are literals
// that the caller has made. Thread rule: free functions.
#pragma once

#include <string>

#include "relay/sources/sql_query_db.hpp"

namespace muskrat::sql_query::mysql_server {

// The columns of cursor and keys, and no row.
std::string parts_sql(const Shape& shape);

// Columns: rank, whether it lies behind the mark, whether it is ahead of the clock, then those of the query. Places and
// marks are literals here.
std::string page_sql(const Shape& shape, const PageOrder& page);
std::string explain_page_sql(const Shape& shape, const PageOrder& page);

std::string all_sql(const Shape& shape);
std::string explain_all_sql(const Shape& shape);
// All columns, no row.
std::string columns_sql(const Shape& shape);

// The time, as RFC 3339 in UTC.
inline constexpr const char* instant_sql = "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')";

}  // namespace muskrat::sql_query::mysql_server

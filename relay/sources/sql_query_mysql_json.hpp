// A row of MySQL or MariaDB as a JSON object, as PostgreSQL's row_to_json would write it wherever the types agree.
//
// Used by sql_query_mysql.cpp. Thread rule: free functions. Failure{reconnect} for a column that has no JSON; it names
// the column and never a value.
#pragma once

#include <string>
#include <string_view>

#include "common/mysql.hpp"

namespace muskrat::sql_query::mysql_server {

// The columns from `first` on; then as_of, where that is given.
std::string body_of(const mysql::Result& rows, int row, int first, const std::string& as_of);

// One value that is not NULL.
std::string json_of(const mysql::Column& column, std::string_view text);

}  // namespace muskrat::sql_query::mysql_server

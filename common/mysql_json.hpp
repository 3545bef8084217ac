// Which columns of a table are JSON: MariaDB keeps JSON as LONGTEXT with a CHECK that it made.
//
// Used by the CLI where it reads a source's table, and by the mysql endpoint for its targets. The check is read from
// SHOW CREATE TABLE, which whoever may read the table may ask for; information_schema shows checks to those alone who
// may change the table. Thread rule: its connection's.
#pragma once

#include <set>
#include <string>

#include "common/mysql.hpp"

namespace muskrat::mysql {

// `database`.`table` as an SQL name. None on MySQL, which has a type for it.
std::set<std::string> json_checked_columns(Connection& connection, const std::string& table, Deadline deadline);

}  // namespace muskrat::mysql

// What attaching reads of a MySQL or MariaDB server: the table, and what there would be in the way.
//
// Used by install.cpp, attach_mysql.cpp, backfill_mysql*.cpp and check_online.cpp. Neighbour: capture_mysql/, which
// makes SQL of it and asks no server. Thread rule: the main thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture_mysql/table.hpp"
#include "common/mysql.hpp"

namespace muskrat::cli {

struct TableName {
  std::string schema, name;
};

// `database.table`, each part in backticks where it has a dot or a backtick; without a database it is the connection's.
TableName table_named(mysql::Connection& db, const std::string& text);

// nullopt when there is no such table, or none that this user may see.
std::optional<capture_mysql::Table> read_table(mysql::Connection& db, const TableName& name);
// The same; Refused when there is none, with the nearest name, or when its kind cannot be captured.
capture_mysql::Table require_table(mysql::Connection& db, const TableName& name);

// Refused when the server is too old, or would break replication.
void require_server(mysql::Connection& db);
// What the server's refusal means for one who makes triggers or routines; to be called where it was caught. `needs`
// says which rights that takes, and stands behind the server's words where one is missing.
[[noreturn]] void explain_ddl(const mysql::SqlError& error, const std::string& needs);
// Whether this user may read muskrat.attachments.
bool sees_attachments(mysql::Connection& db);
// Failure{stop} that names `muskrat install` when it may not, for want of the table or of the right.
void require_installed(mysql::Connection& db, const std::string& source);

// Foreign keys whose cascades write this table without firing its triggers, one sentence each.
std::vector<std::string> silent_writers(mysql::Connection& db, const TableName& name);

// Whether the columns hold all of a unique key that is never NULL: no two rows then share their values.
bool tell_rows_apart(mysql::Connection& db, const TableName& name, const std::vector<std::string>& columns);

// The triggers that the table has.
std::vector<std::string> triggers_there(mysql::Connection& db, const TableName& name);

// Lists of texts as Muskrat's tables there keep them: JSON arrays.
std::vector<std::string> texts_of(std::string_view json_array);
std::string json_of(const std::vector<std::string>& texts);

}  // namespace muskrat::cli

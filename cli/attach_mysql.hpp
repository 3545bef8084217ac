// attach, detach and attached where the source is MySQL or MariaDB: there are no functions in the database that would
// do it, so the program does.
//
// Used by attach.cpp. Neighbours: mysql_catalog.hpp reads the server, capture_mysql/ writes the triggers, install.cpp
// lays the ground. Thread rule: the main thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "capture_mysql/table.hpp"
#include "cli/mysql_catalog.hpp"
#include "common/mysql.hpp"

namespace muskrat::cli {

enum class Existing {
  refuse,   // an attachment of this name is a mistake
  replace,  // this one takes its place
  refresh,  // it is made anew from what was asked for then
};

struct Attachment {
  std::string schema, table, name, object, options, columns_seen, triggers;
  std::string problem;  // what is wrong with it now; "" = nothing
};

// Returns the attachment's name. Warnings go to standard error.
std::string mysql_attach(mysql::Connection& db, const std::string& table, const capture_mysql::Options& options,
                         Existing existing);
// The names that are gone. `object` may be empty: every attachment of the table.
std::vector<std::string> mysql_detach(mysql::Connection& db, const std::string& table, const std::string& object);
// All, or those of one table; each is compared with the table as it is now.
std::vector<Attachment> mysql_attached(mysql::Connection& db, const std::optional<TableName>& table = std::nullopt);

}  // namespace muskrat::cli

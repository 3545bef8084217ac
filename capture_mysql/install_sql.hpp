// Muskrat's scripts for MySQL and MariaDB taken apart: their statements, the stored routines that these make, and what
// they need of a server.
//
// Used by cli/install.cpp, which runs them, and cli/mysql_catalog.cpp. Neighbour: sql/mysql/, whose form is relied on
// here. Pure text, no connection; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muskrat::capture_mysql {

// Statements as the server takes them: cut where the client's DELIMITER says, without whole-line comments.
std::vector<std::string> statements_of(std::string_view script);

// A function or procedure of the database muskrat, for a server that has no CREATE OR REPLACE for such: MySQL.
struct Routine {
  std::string kind;     // FUNCTION, PROCEDURE
  std::string name;     // without the database
  std::string comment;  // which the server keeps with it; a digest at its end tells definitions apart
  std::string sql;      // CREATE …, with that comment
};
// The routine that a statement makes; nullopt of other statements.
std::optional<Routine> routine_of(const std::string& statement);
// Whether it is one of those that make room for such a routine, in a comment that MySQL alone runs.
bool makes_room(const std::string& statement);

// Why a server of this version (of SELECT VERSION()) cannot take the scripts; "" when it can, or when the version
// cannot be read.
std::string version_problem(std::string_view version);

}  // namespace muskrat::capture_mysql

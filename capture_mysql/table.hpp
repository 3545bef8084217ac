// What attaching knows: the table as information_schema shows it, and what was asked for.
//
// Filled by cli/attach_mysql*, read by generator.cpp and its parts. Plain values; thread rule: none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/failure.hpp"

namespace muskrat::capture_mysql {

// The attachment cannot be made; what() says why and what to do.
struct Refused : Failure {
  explicit Refused(const std::string& what) : Failure(Remedy::stop, what) {}
};

struct Column {
  std::string name;
  std::string data_type;    // lower case: "varchar", "tinyint", …; "json" also where MariaDB stores it as longtext
  std::string column_type;  // "tinyint(1) unsigned"
  std::string charset;      // "" for what is no text
  int fraction = 0;         // digits of a second, or behind a decimal's point
  bool invisible = false;
  bool generated = false;  // computed of others, virtual or stored
};

struct Table {
  std::string schema, name;
  std::vector<Column> columns;
  std::vector<std::string> primary_key;
  bool mariadb = true;  // which server it is on

  // Whether triggers may name it. MySQL's manual forbids them generated columns: of a virtual one OLD may hold the new
  // value.
  bool in_triggers(const Column& column) const { return mariadb || !column.generated; }
  // Whether `*` stands for it, too.
  bool in_star(const Column& column) const { return !column.invisible && in_triggers(column); }
  // nullptr when there is none. Names of columns are compared as the server does: ASCII case does not count.
  const Column* find(const std::string& column) const;
  // `schema`.`name`
  std::string quoted() const;
};

// As muskrat.attach() has it in PostgreSQL; docs/mysql.md says what is different.
struct Options {
  std::string object;   // <Source>.<Object>
  std::string columns;  // "*", or a JSON list
  std::optional<std::string> on_insert = "Insert", on_update = "Update", on_delete = "Delete";
  std::vector<std::string> key;  // empty = the primary key
  std::string condition;
  std::vector<std::string> changes_of;
  std::string name;  // empty = the object

  std::string attachment_name() const { return name.empty() ? object : name; }
  std::string to_json() const;
  static Options from_json(const std::string& text);
};

std::string quote_identifier(const std::string& name);
// A string literal for a session without NO_BACKSLASH_ESCAPES, which is how triggers are made.
std::string quote_literal(const std::string& text);

}  // namespace muskrat::capture_mysql

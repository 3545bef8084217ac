// A target table in MySQL or MariaDB as information_schema shows it: exact names, and how a value is written for each
// column.
//
// Used by the mysql endpoint and its mirror at each connect. Thread rule: immutable once discovered.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/mapping.hpp"
#include "common/mysql.hpp"
#include "consumer/endpoints/sql/route.hpp"

namespace muskrat::mysql_target {

struct Column {
  enum class Form { plain, text, json, bytes, time, number, bits };
  std::string quoted;  // identifier
  Form form = Form::plain;
  std::string type;  // as information_schema names it, without a length

  // An expression that turns a quoted text into the column's value.
  std::string from_text(const std::string& literal) const;
  // The text to send; nullopt and why when this value cannot go into any such column.
  std::optional<std::string> text_of(const FieldValue& field, std::string& why) const;
};

struct Target {
  std::string identity;         // database.table, as stored in the state tables
  std::string quoted;           // the same for statements
  std::vector<Column> columns;  // one for each of the route's fields
  std::vector<size_t> walk;     // the key's columns in the order of the unique index over them
};

// Failure{reconnect} that says what to create when the table, a column, or the unique index on the key is not there.
Target discover(mysql::Connection& connection, const sql::Route& route, Deadline deadline);

// "2026-11-25T09:50:00.5+01:00" as "2026-11-25 08:50:00.5"; other texts as they are, for the server to judge.
std::string utc_time(const std::string& iso);

}  // namespace muskrat::mysql_target

// A target table as the catalog shows it: exact names, and how each column takes a text.
//
// Used by the postgres endpoint at each connect: tables change, and the connection is made anew when they do. The verb
// `endpoint ddl` asks for the index.
// Thread rule: immutable once discovered.
#pragma once

#include <string>
#include <vector>

#include "common/json.hpp"
#include "common/mapping.hpp"
#include "common/pg.hpp"
#include "consumer/endpoints/sql/route.hpp"

namespace muskrat::postgres {

using sql::Route;

struct Column {
  enum class Form { plain, json, bytes, range, multirange };
  std::string quoted;       // identifier
  std::string type;         // castable: without a length, so that too long a text is refused and not cut
  std::string stored;       // the type with its length, which the value has once it stands in the column
  Form form = Form::plain;  // of an array: its elements'; of a domain: its base type's
  bool array = false;
  // How two values of the column are told apart: some types have no operator for it, and those of texts pass over case
  // or blanks.
  enum class Equality { by_operator, by_text, as_jsonb } equality = Equality::by_operator;

  // "i.c3::integer", "decode(i.c3, 'base64')": an expression that turns a text into the column's type.
  std::string from_text(const std::string& expression) const;
  // The same as it will stand in the column: rounded to its scale, filled up to its length.
  std::string as_stored(const std::string& expression) const;
  // An SQL condition: the column of the row `row` is not what the text would become in it.
  std::string differs(const std::string& row, const std::string& expression) const;
  // The text to send. `why` and nullopt when this field cannot go into any such column.
  std::optional<std::string> text_of(const FieldValue& field, std::string& why) const;

 private:
  std::optional<std::string> structured_text(const json::Value& value, std::string& why) const;
  std::optional<std::string> element_text(const json::Value& value) const;
  std::string kind() const;
};

struct Target {
  std::string identity;         // schema.table, as stored in the state tables
  std::string quoted;           // the same for statements
  std::vector<Column> columns;  // one for each of the route's fields
};

// Failure{reconnect} that says what to create when the table, a column, or the unique index on the key is not there.
Target discover(pg::Connection& connection, const Route& route, Deadline deadline);

// The key's columns in the order of the unique index over them, by which the table can be walked.
std::vector<size_t> index_order(pg::Connection& connection, const Route& route, Deadline deadline);

// Whether ON CONFLICT on exactly these columns would find an index: unique, whole, not deferrable. False when there is
// no such table.
bool has_unique_index(pg::Connection& connection, const std::string& table, const std::vector<std::string>& columns,
                      Deadline deadline);

}  // namespace muskrat::postgres

#include "relay/sources/sql_query_db.hpp"

#include "common/database_dsn.hpp"

namespace muskrat::sql_query {

Shape shape_of(const Settings& settings) {
  Shape shape{settings.text("query"), settings.text("cursor"), settings.texts("key")};
  const size_t end = shape.query.find_last_not_of(" \t\r\n;");
  shape.query.erase(end == shape.query.npos ? 0 : end + 1);
  return shape;
}

std::string shape_text(const Shape& shape) {
  std::string text = shape.cursor;
  for (const std::string& key : shape.keys) text += (text.empty() ? "" : ", ") + key;
  return text;
}

std::unique_ptr<Db> open_db(const Component& source, const Stop& stop) {
  return names_mysql(source.settings.fresh_secret("dsn")) ? open_mysql(source, stop) : open_postgres(source, stop);
}

void refuse_null_key(const std::string& column) {
  throw Failure(Remedy::reconnect,
                "key: a row of the query has NULL in " + column + "; name columns that identify every row");
}

void refuse_columns(const std::string& why, const Shape& shape) {
  throw Failure(Remedy::reconnect, "the query lacks a column: " + why +
                                       "; it must have the columns of cursor and key (" + shape_text(shape) + ")");
}

void refuse_value(const std::string& code) {
  throw Failure(Remedy::reconnect, "a value in the query, the cursor or --since does not convert [" + code + "]");
}

}  // namespace muskrat::sql_query

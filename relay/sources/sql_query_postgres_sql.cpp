#include "relay/sources/sql_query_postgres_sql.hpp"

namespace muskrat::sql_query::postgres {
namespace {

std::string column(const std::string& name) {
  std::string quoted = "q.\"";
  for (const char c : name) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string columns(const Shape& shape) {
  std::string list = column(shape.cursor);
  for (const std::string& key : shape.keys) list += ", " + column(key);
  return list;
}

std::string parameters(size_t first, size_t count) {
  std::string list;
  for (size_t i = 0; i < count; ++i) list += (i > 0 ? ", $" : "$") + std::to_string(first + i);
  return list;
}

size_t parts(const Shape& shape) { return 1 + shape.keys.size(); }

size_t parameters_used(const Shape& shape, From from) {
  if (from == From::place) return parts(shape);
  return from == From::value ? 1 : 0;
}

// On a line of its own: the query may end in a comment.
std::string from_query(const Shape& shape) { return " FROM (\n" + shape.query + "\n) q"; }

std::string where(const Shape& shape, const PageOrder& page) {
  const std::string cursor = column(shape.cursor);
  std::string sql = " WHERE " + cursor;
  if (page.from == From::start) sql += " IS NOT NULL";
  if (page.from == From::value) sql += " >= $1";
  if (page.from == From::place) sql = " WHERE (" + columns(shape) + ") > (" + parameters(1, parts(shape)) + ")";
  // Nothing comes behind infinity: a cursor there would never move again.
  return page.by_time ? sql + " AND isfinite(" + cursor + ")" : sql;
}

std::string rank(const Shape& shape, bool by_time) {
  const std::string cursor = column(shape.cursor);
  if (by_time) return "least(floor(extract(epoch FROM " + cursor + ") * 1000000), 9e18)::bigint";
  return "floor(" + cursor + ")::bigint";
}

}  // namespace

std::string type_sql(const Shape& shape) {
  return "SELECT pg_typeof((SELECT " + column(shape.cursor) + from_query(shape) + " LIMIT 0))::text, (SELECT (" +
         columns(shape) + ") IS NULL" + from_query(shape) + " LIMIT 0)";
}

// The parameters are of the column's type and collation by the side of it.
std::string behind_sql(const Shape& shape) {
  const std::string none = "(SELECT " + column(shape.cursor) + from_query(shape) + " LIMIT 0)";
  return "SELECT coalesce(" + none + ", $1) > coalesce(" + none + ", $2)";
}

std::string before_sql(const std::string& type, bool by_time) {
  return "SELECT ($1::" + type + " - $2::" + (by_time ? "interval" : type) + ")::text";
}

std::string page_sql(const Shape& shape, const PageOrder& page) {
  std::string sql = "SELECT row_to_json(q)::text, " + (page.ranked ? rank(shape, page.by_time) : std::string("0"));
  const size_t used = parameters_used(shape, page.from);
  sql += !page.mark.empty() ? ", (" + columns(shape) + ") > (" + parameters(used + 1, parts(shape)) + ")" : ", true";
  sql += page.by_time ? ", " + column(shape.cursor) + " > now()" : ", false";
  sql += ", " + column(shape.cursor) + "::text";
  for (const std::string& key : shape.keys) sql += ", " + column(key) + "::text";
  return sql + from_query(shape) + where(shape, page) + " ORDER BY " + columns(shape) + " LIMIT " +
         std::to_string(page.rows);
}

std::string estimate_sql(const Shape& shape, const PageOrder& page) {
  return "EXPLAIN (FORMAT JSON) SELECT 1" + from_query(shape) + where(shape, page);
}

std::string declare_sql(const Shape& shape, const std::string& as_of) {
  const std::string declare = "DECLARE muskrat_rows NO SCROLL CURSOR FOR SELECT row_to_json(";
  if (as_of.empty()) return declare + "q)::text" + from_query(shape);
  return declare + "r)::text FROM (SELECT q.*, " + as_of + "::text AS as_of" + from_query(shape) + ") r";
}

std::string explain_all_sql(const Shape& shape) { return "EXPLAIN (FORMAT JSON) SELECT 1" + from_query(shape); }

std::string key_sql(const Shape& shape) {
  std::string list;
  for (const std::string& key : shape.keys) list += (list.empty() ? "" : ", ") + column(key);
  return "SELECT " + list + from_query(shape) + " LIMIT 0";
}

std::string columns_sql(const Shape& shape) { return "SELECT q.*" + from_query(shape) + " LIMIT 0"; }

}  // namespace muskrat::sql_query::postgres

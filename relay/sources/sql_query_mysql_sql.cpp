#include "relay/sources/sql_query_mysql_sql.hpp"

#include "common/mysql.hpp"

namespace muskrat::sql_query::mysql_server {
namespace {

std::string column(const std::string& name) { return "q." + mysql::Connection::quote_identifier(name); }

std::vector<std::string> parts(const Shape& shape) {
  std::vector<std::string> columns{column(shape.cursor)};
  for (const std::string& key : shape.keys) columns.push_back(column(key));
  return columns;
}

std::string list(const std::vector<std::string>& columns) {
  std::string text;
  for (const std::string& each : columns) text += (text.empty() ? "" : ", ") + each;
  return text;
}

// On lines of its own: the query may end in a comment.
std::string from_query(const Shape& shape) { return " FROM (\n" + shape.query + "\n) q"; }

// (a, b, c) > (x, y, z), said so that an index on (a, b, c) can be used: of a comparison of rows these servers make a
// test of every row.
std::string behind(const std::vector<std::string>& columns, const Place& place) {
  std::string text;
  for (size_t i = columns.size(); i-- > 0;) {
    const std::string more = columns[i] + " > " + place[i];
    text = text.empty() ? more : "(" + more + " OR (" + columns[i] + " = " + place[i] + " AND " + text + "))";
  }
  return columns[0] + " >= " + place[0] + " AND " + text;
}

std::string instant(const std::string& cursor) { return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', " + cursor + ")"; }

std::string where(const Shape& shape, const PageOrder& page) {
  const std::string cursor = column(shape.cursor);
  std::string sql = " WHERE ";
  if (page.from == From::start) sql += cursor + " IS NOT NULL";
  if (page.from == From::value) sql += cursor + " >= " + page.place[0];
  if (page.from == From::place) sql += behind(parts(shape), page.place);
  // 0000-00-00 and 2026-00-00 are no times: they have no rank.
  return page.by_time ? sql + " AND " + instant(cursor) + " IS NOT NULL" : sql;
}

std::string rank(const Shape& shape, const PageOrder& page) {
  if (!page.ranked) return "0";
  const std::string cursor = column(shape.cursor);
  return page.by_time ? instant(cursor) : "FLOOR(" + cursor + ")";
}

std::string select(const std::string& what, const Shape& shape) { return "SELECT " + what + from_query(shape); }

}  // namespace

std::string parts_sql(const Shape& shape) { return select(list(parts(shape)), shape) + " LIMIT 0"; }

std::string page_sql(const Shape& shape, const PageOrder& page) {
  const std::string marked = page.mark.empty() ? "1" : behind(parts(shape), page.mark);
  const std::string ahead = page.by_time ? column(shape.cursor) + " > UTC_TIMESTAMP(6)" : "0";
  return select(rank(shape, page) + ", " + marked + ", " + ahead + ", q.*", shape) + where(shape, page) + " ORDER BY " +
         list(parts(shape)) + " LIMIT " + std::to_string(page.rows);
}

std::string explain_page_sql(const Shape& shape, const PageOrder& page) {
  return "EXPLAIN " + select("1", shape) + where(shape, page);
}

std::string all_sql(const Shape& shape) { return select("q.*", shape); }
std::string explain_all_sql(const Shape& shape) { return "EXPLAIN " + select("1", shape); }

std::string columns_sql(const Shape& shape) { return select("q.*", shape) + " LIMIT 0"; }

}  // namespace muskrat::sql_query::mysql_server

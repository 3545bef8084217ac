#include "cli/backfill_mysql_sql.hpp"

#include <algorithm>

#include "capture_mysql/condition.hpp"
#include "capture_mysql/generator.hpp"
#include "capture_mysql/value_sql.hpp"
#include "common/json.hpp"

namespace muskrat::cli {
namespace {

using capture_mysql::quote_identifier;
using capture_mysql::quote_literal;

const std::string row = "muskrat_row";

std::string column(const std::string& name) { return row + "." + quote_identifier(name); }

// Row comparisons are spelled out: the servers find no range in (a, b) > (1, 2).
std::string compared(const std::vector<std::string>& columns, const RowKey& key, const char* beyond, const char* last) {
  std::string sql;
  for (size_t i = columns.size(); i-- > 0;) {
    const std::string name = column(columns[i]);
    if (sql.empty()) {
      sql = name + last + key[i];
    } else {
      sql = "(" + name + beyond + "= " + key[i] + " AND (" + name + beyond + key[i] + " OR " + sql + "))";
    }
  }
  return sql;
}

}  // namespace

void BackfillSql::check() const {
  for (const std::string& name : key) {
    const capture_mysql::Column* found = table.find(name);
    if (found == nullptr || capture_mysql::literal_sql(*found, row).empty())
      throw capture_mysql::Refused("table " + table.quoted() + " cannot be walked by its key: column " +
                                   quote_identifier(name) + " is of a type that has no exact literal");
  }
  for (const Part& part : parts) capture_mysql::row_sql_of(table, part.options, row);
}

std::string BackfillSql::between(const RowKey& after, const RowKey& last) const {
  const std::string upto = last.empty() ? "" : compared(key, last, " <", " <= ");
  const std::string behind = after.empty() ? "" : compared(key, after, " >", " > ");
  if (behind.empty() && upto.empty()) return "TRUE";
  return behind + (behind.empty() || upto.empty() ? "" : " AND ") + upto;
}

// (a, b) IN ((1, 2), …): both servers find rows by it, and in 10,000 keys fifty times as fast as in (a = 1 AND b = 2)
// OR ….
std::string BackfillSql::among(const std::set<RowKey>& keys) const {
  std::string columns, rows;
  for (const std::string& name : key) columns += (columns.empty() ? "" : ", ") + column(name);
  for (const RowKey& one : keys) {
    std::string values;
    for (const std::string& value : one) values += (values.empty() ? "" : ", ") + value;
    rows += (rows.empty() ? "(" : ", (") + values + ")";
  }
  return "(" + columns + ") IN (" + rows + ")";
}

std::string BackfillSql::exactly(const RowKey& values) const {
  std::string sql;
  for (size_t i = 0; i < key.size(); ++i) sql += (sql.empty() ? "" : " AND ") + column(key[i]) + " = " + values[i];
  return sql;
}

std::string BackfillSql::condition_sql() const {
  return condition.empty() ? "TRUE" : "(" + capture_mysql::qualified_condition(table, condition, row) + ") IS TRUE";
}

// By another index the rows would not be locked themselves, where its columns are all that is asked for.
std::string BackfillSql::from() const { return " FROM " + table.quoted() + " AS " + row + " FORCE INDEX (PRIMARY)"; }

std::string BackfillSql::order(const char* direction) const {
  std::string sql;
  for (const std::string& name : key) sql += (sql.empty() ? " ORDER BY " : ", ") + column(name) + direction;
  return sql;
}

std::string BackfillSql::key_literals() const {
  std::string sql;
  for (const std::string& name : key)
    sql += (sql.empty() ? "" : ", ") + capture_mysql::literal_sql(*table.find(name), row);
  return sql;
}

std::string BackfillSql::last_key() const { return "SELECT " + key_literals() + from() + order(" DESC") + " LIMIT 1"; }

std::string BackfillSql::next(const std::string& which, int64_t most) const {
  return "SELECT " + key_literals() + ", " + condition_sql() + from() + " WHERE " + which + order("") + " LIMIT " +
         std::to_string(most);
}

std::string BackfillSql::lock(const std::string& which) const {
  return "SELECT " + key_literals() + from() + " WHERE " + which + order("") +
         (table.mariadb ? " LOCK IN SHARE MODE SKIP LOCKED" : " FOR SHARE SKIP LOCKED");
}

std::string BackfillSql::headers(const Part& part, const std::string& omitted) const {
  std::string rest;
  if (!endpoint.empty()) rest += R"("to":)" + json::quote(endpoint) + ",";
  rest += R"("as":)" + json::quote(part.words) + "}";
  if (omitted == "NULL") return quote_literal("{" + rest);
  return "CONCAT('{', COALESCE(CONCAT('\"omitted\":', " + omitted + ", ','), ''), " + quote_literal(rest) + ")";
}

std::string BackfillSql::events(const Part& part, const std::set<RowKey>& keys, size_t most_bytes) const {
  const capture_mysql::RowSql sql = capture_mysql::row_sql_of(table, part.options, row);
  return "SELECT " + key_literals() + ", " + sql.ordering_key + ", IF(LENGTH(" + sql.body + ") > " +
         std::to_string(most_bytes) + ", NULL, " + sql.body + "), " + headers(part, sql.omitted) + from() + " WHERE " +
         among(keys) + " AND " + condition_sql() +
         (sql.condition.empty() ? "" : " AND (" + sql.condition + ") IS TRUE") + order("");
}

std::string BackfillSql::make(const Part& part, const RowKey& one) const {
  const capture_mysql::RowSql sql = capture_mysql::row_sql_of(table, part.options, row);
  return "SELECT " + sql.ordering_key + ", " + sql.body + ", " + headers(part, sql.omitted) +
         " INTO @muskrat_key, @muskrat_body, @muskrat_headers" + from() + " WHERE " + exactly(one);
}

std::string BackfillSql::tell_made(const Part& part) {
  return std::string(tell) + told(part, "@muskrat_key", "@muskrat_body", "@muskrat_headers");
}

std::string BackfillSql::told(const Part& part, const std::string& ordering_key, const std::string& body,
                              const std::string& headers) {
  return "('b', " + quote_literal(part.routing_key) + ", " + ordering_key + ", " + body + ", " + headers + ")";
}

std::string BackfillSql::look(const std::string& which, int64_t most) const {
  std::string shown, bodies;
  for (const std::string& name : key)
    shown += (shown.empty() ? "" : ", ',', ") + capture_mysql::value_sql(*table.find(name), row, table.mariadb);
  for (const Part& part : parts) {
    const capture_mysql::RowSql sql = capture_mysql::row_sql_of(table, part.options, row);
    const std::string body =
        sql.condition.empty() ? sql.body : "IF((" + sql.condition + ") IS TRUE, " + sql.body + ", NULL)";
    bodies += ", " + body + ", COALESCE(" + sql.omitted + ", '')";
  }
  return "SELECT " + key_literals() + ", CONCAT('[', " + shown + ", ']')" + bodies + from() + " WHERE " + which +
         order("") + " LIMIT " + std::to_string(most);
}

bool BackfillSql::large_rows() const {
  return std::any_of(table.columns.begin(), table.columns.end(), capture_mysql::may_be_large);
}

std::string BackfillSql::sizes(const std::string& which, int64_t most) const {
  std::string bytes = "0";
  for (const capture_mysql::Column& c : table.columns)
    if (capture_mysql::may_be_large(c)) bytes += " + COALESCE(OCTET_LENGTH(" + column(c.name) + "), 0)";
  return "SELECT " + key_literals() + ", " + bytes + from() + " WHERE " + which + order("") + " LIMIT " +
         std::to_string(most);
}

std::string BackfillSql::meant() const {
  std::string some;
  for (const Part& part : parts) {
    const std::string one = capture_mysql::row_sql_of(table, part.options, row).condition;
    if (one.empty()) return "";
    some += (some.empty() ? "(" : " OR (") + one + ") IS TRUE";
  }
  return some;
}

std::string BackfillSql::probe() const { return "SELECT " + condition_sql() + from() + " LIMIT 0"; }

}  // namespace muskrat::cli

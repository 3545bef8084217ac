#include "cli/backfill_mysql_order.hpp"

#include <algorithm>
#include <array>

#include "cli/attach_mysql.hpp"
#include "cli/context.hpp"
#include "cli/mysql_catalog.hpp"
#include "common/event.hpp"
#include "common/suggest.hpp"

namespace muskrat::cli {
namespace {

using capture_mysql::Refused;
using capture_mysql::Table;

// The action words that tell of a row that is there.
std::string words_of(const capture_mysql::Options& o) {
  if (!o.on_insert) return o.on_update.value_or("");
  return *o.on_insert + (o.on_update && *o.on_update != *o.on_insert ? " " + *o.on_update : "");
}

// Only by the primary key are the rows themselves locked, and not an index of them (BackfillSql::from).
const std::vector<std::string>& walking_key(const Table& table) {
  if (table.primary_key.empty())
    throw Refused("table " + table.quoted() +
                  " has no primary key, by which its rows are walked through and locked; a unique key does not do in "
                  "its place: add a primary key");
  return table.primary_key;
}

std::vector<BackfillSql::Part> parts_of(mysql::Connection& db, const Table& table, const std::string& wanted) {
  const std::array<mysql::Param, 2> name{table.schema, table.name};
  const mysql::Result rows = db.exec(
      "SELECT name, object, options FROM muskrat.attachments WHERE table_schema = ? AND table_name = ? ORDER BY name",
      name, Deadline::in(answer_time));
  if (rows.rows() == 0)
    throw Refused("table " + table.quoted() +
                  " is not attached, and its rows are told as an attachment would tell them: muskrat attach");
  std::vector<BackfillSql::Part> parts;
  std::vector<std::string_view> known;
  bool named = false;
  for (int i = 0; i < rows.rows(); ++i) {
    known.push_back(rows.text(i, 0));
    if (!wanted.empty() && wanted != rows.text(i, 0) && wanted != rows.text(i, 1)) continue;
    named = true;
    BackfillSql::Part part;
    part.name = rows.text(i, 0);
    part.options = capture_mysql::Options::from_json(std::string(rows.text(i, 2)));
    part.words = words_of(part.options);
    part.routing_key = part.options.object + ".Backfill";
    if (!part.words.empty()) parts.push_back(std::move(part));
  }
  if (!named)
    throw Refused("table " + table.quoted() + " has no attachment \"" + wanted + "\"" + did_you_mean(wanted, known));
  if (parts.empty())
    throw Refused("no attachment of table " + table.quoted() +
                  " tells of rows that are there: they tell neither of inserts nor of updates");
  return parts;
}

// A trigger that is not what the table is now would write another body than this.
void require_sound(mysql::Connection& db, const BackfillSql& sql) {
  const std::vector<std::string> names = attachment_names(sql);
  for (const Attachment& a : mysql_attached(db, TableName{sql.table.schema, sql.table.name})) {
    const bool meant = std::find(names.begin(), names.end(), a.name) != names.end();
    if (meant && !a.problem.empty()) throw Refused("the attachment " + a.name + " is not sound: " + a.problem);
  }
}

void check(mysql::Connection& db, const BackfillSql& sql) {
  sql.check();
  require_sound(db, sql);
  std::string why;
  for (const BackfillSql::Part& part : sql.parts) {
    if (!parse_routing_key(part.routing_key, &why))
      throw Refused("\"" + part.routing_key + "\" is no routing key: " + why + "; shorten the object");
  }
  if (sql.condition.empty()) return;
  try {
    db.exec(sql.probe(), Deadline::in(answer_time));
  } catch (const mysql::SqlError& error) {
    throw Refused("the condition cannot be used: " + sql.condition + ": " + error.what());
  }
}

}  // namespace

BackfillSql backfill_sql_for(mysql::Connection& db, const BackfillOrder& order) {
  BackfillSql sql;
  sql.table = require_table(db, table_named(db, order.table));
  sql.parts = parts_of(db, sql.table, order.attachment);
  sql.key = walking_key(sql.table);
  sql.condition = order.condition;
  sql.endpoint = order.endpoint;
  check(db, sql);
  return sql;
}

RowKey key_of(const mysql::Result& rows, int row, size_t columns) {
  RowKey key;
  for (size_t i = 0; i < columns; ++i) key.emplace_back(rows.text(row, static_cast<int>(i)));
  return key;
}

std::vector<std::string> attachment_names(const BackfillSql& sql) {
  std::vector<std::string> names;
  for (const BackfillSql::Part& part : sql.parts) names.push_back(part.name);
  return names;
}

}  // namespace muskrat::cli

#include "cli/mysql_catalog.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "capture_mysql/install_sql.hpp"
#include "cli/context.hpp"
#include "common/json.hpp"
#include "common/mysql_json.hpp"
#include "common/suggest.hpp"

namespace muskrat::cli {
namespace {

using capture_mysql::Column;
using capture_mysql::Refused;
using capture_mysql::Table;

mysql::Result ask(mysql::Connection& db, const std::string& sql, const TableName& name) {
  const std::array<mysql::Param, 2> params{name.schema, name.name};
  return db.exec(sql, params, Deadline::in(answer_time));
}

std::vector<Column> read_columns(mysql::Connection& db, const TableName& name) {
  const mysql::Result rows =
      ask(db,
          "SELECT column_name, LOWER(data_type), LOWER(column_type), COALESCE(character_set_name, ''), "
          "COALESCE(datetime_precision, numeric_scale, 0), extra LIKE '%INVISIBLE%', "
          "extra LIKE '%VIRTUAL GENERATED%' OR extra LIKE '%STORED GENERATED%' "
          "FROM information_schema.columns WHERE table_schema = ? AND table_name = ? "
          "ORDER BY ordinal_position",
          name);
  std::vector<Column> columns;
  columns.reserve(static_cast<size_t>(rows.rows()));
  for (int i = 0; i < rows.rows(); ++i) {
    columns.push_back({std::string(rows.text(i, 0)), std::string(rows.text(i, 1)), std::string(rows.text(i, 2)),
                       std::string(rows.text(i, 3)), static_cast<int>(rows.int64(i, 4)), rows.boolean(i, 5),
                       rows.boolean(i, 6)});
  }
  if (columns.empty()) return columns;
  const std::string table =
      capture_mysql::quote_identifier(name.schema) + "." + capture_mysql::quote_identifier(name.name);
  const std::set<std::string> json = mysql::json_checked_columns(db, table, Deadline::in(answer_time));
  for (Column& c : columns)
    if (json.contains(c.name)) c.data_type = "json";
  return columns;
}

// Why a table of this kind cannot be captured; "" when it can.
std::string kind_problem(std::string_view type, std::string_view engine) {
  if (type.find("VIEW") != std::string_view::npos) return "it is a view; attach the tables under it";
  if (type == "TEMPORARY") return "it is a temporary table";
  if (engine != "InnoDB") {
    return "its engine is " + std::string(engine) +
           ", which has no transactions: events of writes that failed half-way would stay; ALTER TABLE … ENGINE = "
           "InnoDB";
  }
  return "";
}

[[noreturn]] void no_table(mysql::Connection& db, const TableName& name) {
  const mysql::Result rows =
      ask(db, "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_name <> ?", name);
  std::vector<std::string_view> names;
  names.reserve(static_cast<size_t>(rows.rows()));
  for (int i = 0; i < rows.rows(); ++i) names.push_back(rows.text(i, 0));
  throw Refused("there is no table " + capture_mysql::quote_identifier(name.schema) + "." +
                capture_mysql::quote_identifier(name.name) + ", or this user may not see it" +
                did_you_mean(name.name, names));
}

std::string part_of(const std::string& text, size_t& at) {
  std::string part;
  if (at < text.size() && text[at] == '`') {
    for (++at; at < text.size(); ++at) {
      if (text[at] == '`' && (++at >= text.size() || text[at] != '`')) return part;
      part += text[at];
    }
    throw Refused("the name " + text + " has a backtick without its pair");
  }
  while (at < text.size() && text[at] != '.') part += text[at++];
  return part;
}

}  // namespace

TableName table_named(mysql::Connection& db, const std::string& text) {
  size_t at = 0;
  TableName name;
  name.name = part_of(text, at);
  if (at < text.size() && text[at] == '.') {
    name.schema = name.name;
    name.name = part_of(text, ++at);
  } else {
    name.schema = db.exec("SELECT COALESCE(DATABASE(), '')", Deadline::in(answer_time)).text(0, 0);
  }
  if (at < text.size() || name.name.empty() || name.schema.empty()) {
    throw Refused("\"" + text +
                  "\" names no table; write database.table, in backticks where a name has a dot: `a.b`.`c`");
  }
  return name;
}

std::optional<Table> read_table(mysql::Connection& db, const TableName& name) {
  Table table;
  table.schema = name.schema;
  table.name = name.name;
  table.mariadb = db.mariadb();
  table.columns = read_columns(db, name);
  if (table.columns.empty()) return std::nullopt;
  const mysql::Result key = ask(db,
                                "SELECT column_name FROM information_schema.statistics WHERE table_schema = ? AND "
                                "table_name = ? AND index_name = 'PRIMARY' ORDER BY seq_in_index",
                                name);
  for (int i = 0; i < key.rows(); ++i) table.primary_key.emplace_back(key.text(i, 0));
  return table;
}

Table require_table(mysql::Connection& db, const TableName& name) {
  const mysql::Result found = ask(db,
                                  "SELECT table_type, COALESCE(engine, '') FROM information_schema.tables "
                                  "WHERE table_schema = ? AND table_name = ?",
                                  name);
  if (found.rows() == 0) no_table(db, name);
  if (name.schema == "muskrat") throw Refused("Muskrat's own tables cannot be captured");
  const std::string problem = kind_problem(found.text(0, 0), found.text(0, 1));
  if (!problem.empty())
    throw Refused("table " + capture_mysql::quote_identifier(name.name) + " cannot be captured: " + problem);
  std::optional<Table> table = read_table(db, name);
  if (!table) no_table(db, name);
  return *table;
}

void require_server(mysql::Connection& db) {
  const std::string version(db.exec("SELECT VERSION()", Deadline::in(answer_time)).text(0, 0));
  if (const std::string problem = capture_mysql::version_problem(version); !problem.empty())
    throw Refused(db.place() + " is of version " + version + ": " + problem);
  // Not by @@global.binlog_format: MySQL means to take it out, and only SHOW passes over what is not there.
  const mysql::Result rows =
      db.exec("SHOW GLOBAL VARIABLES WHERE variable_name IN ('log_bin', 'binlog_format')", Deadline::in(answer_time));
  bool logged = false, statements = false;
  for (int i = 0; i < rows.rows(); ++i) {
    logged = logged || (rows.text(i, 0) == "log_bin" && rows.text(i, 1) == "ON");
    statements = statements || (rows.text(i, 0) == "binlog_format" && rows.text(i, 1) == "STATEMENT");
  }
  if (logged && statements) {
    throw Refused(
        "binlog_format is STATEMENT: replicas would run the triggers themselves and give events other ids than the "
        "primary; set binlog_format = ROW (or MIXED) in the server's configuration");
  }
}

void explain_ddl(const mysql::SqlError& error, const std::string& needs) {
  constexpr int binlog_needs_super = 1419;
  constexpr std::array not_allowed{1044, 1142, 1227, 1370, 1410};
  if (error.code() == binlog_needs_super) {
    throw Failure(Remedy::stop, std::string(error.what()) +
                                    ". The server writes a binary log and lets none but its administrators make "
                                    "triggers and functions: connect as one, with --dsn, or set "
                                    "log_bin_trust_function_creators = 1");
  }
  if (std::find(not_allowed.begin(), not_allowed.end(), error.code()) != not_allowed.end())
    throw Failure(Remedy::stop, std::string(error.what()) + ". " + needs);
  throw;
}

bool sees_attachments(mysql::Connection& db) {
  return db.exec(
               "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'muskrat' AND table_name = "
               "'attachments'",
               Deadline::in(answer_time))
             .int64(0, 0) > 0;
}

void require_installed(mysql::Connection& db, const std::string& source) {
  if (sees_attachments(db)) return;
  throw Failure(Remedy::stop, "Muskrat's tables are not on " + db.place() +
                                  ", or this user may not see them; an administrator runs: muskrat install " + source);
}

std::vector<std::string> silent_writers(mysql::Connection& db, const TableName& name) {
  const mysql::Result rows = ask(
      db,
      "SELECT constraint_name, referenced_table_name, CONCAT_WS(' and ', IF(delete_rule IN ('CASCADE', 'SET NULL', "
      "'SET "
      "DEFAULT'), CONCAT('ON DELETE ', delete_rule), NULL), IF(update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT'), "
      "CONCAT('ON UPDATE ', update_rule), NULL)) AS rules FROM information_schema.referential_constraints "
      "WHERE constraint_schema = ? AND table_name = ? HAVING rules <> ''",
      name);
  std::vector<std::string> found;
  found.reserve(static_cast<size_t>(rows.rows()));
  for (int i = 0; i < rows.rows(); ++i) {
    found.push_back("foreign key " + std::string(rows.text(i, 0)) + " (" + std::string(rows.text(i, 2)) + " from " +
                    std::string(rows.text(i, 1)) +
                    ") writes this table without firing its triggers: those changes are "
                    "not captured");
  }
  return found;
}

bool tell_rows_apart(mysql::Connection& db, const TableName& name, const std::vector<std::string>& columns) {
  std::string list;
  for (const std::string& column : columns) list += (list.empty() ? "" : ",") + column;
  const std::array<mysql::Param, 3> params{name.schema, name.name, list};
  return db.exec(
               "SELECT COUNT(*) FROM (SELECT index_name FROM information_schema.statistics WHERE table_schema = ? "
               "AND table_name = ? AND non_unique = 0 GROUP BY index_name "
               "HAVING SUM(nullable = 'YES' OR COALESCE(FIND_IN_SET(column_name, ?), 0) = 0) = 0) AS keys_within",
               params, Deadline::in(answer_time))
             .int64(0, 0) > 0;
}

std::vector<std::string> triggers_there(mysql::Connection& db, const TableName& name) {
  const mysql::Result rows =
      ask(db,
          "SELECT trigger_name FROM information_schema.triggers WHERE event_object_schema = ? AND "
          "event_object_table = ? ORDER BY trigger_name",
          name);
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(rows.rows()));
  for (int i = 0; i < rows.rows(); ++i) names.emplace_back(rows.text(i, 0));
  return names;
}

std::vector<std::string> texts_of(std::string_view json_array) {
  std::string why;
  std::vector<std::string> texts;
  const auto document = json::Document::parse(json_array, why);
  for (size_t i = 0; document && i < document->root().size(); ++i) texts.emplace_back(document->root().at(i).string());
  return texts;
}

std::string json_of(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out += (out.size() > 1 ? "," : "") + json::quote(text);
  return out + "]";
}

}  // namespace muskrat::cli

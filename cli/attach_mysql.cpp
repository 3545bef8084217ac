#include "cli/attach_mysql.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

#include "capture_mysql/condition.hpp"
#include "capture_mysql/generator.hpp"
#include "cli/context.hpp"
#include "cli/mysql_catalog.hpp"
#include "cli/terminal.hpp"

namespace muskrat::cli {
namespace {

using capture_mysql::Options;
using capture_mysql::Plan;
using capture_mysql::quote_identifier;
using capture_mysql::Refused;
using capture_mysql::Table;

void run(mysql::Connection& db, const std::string& sql) { db.exec(sql, Deadline::in(answer_time)); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string joined(const std::vector<std::string>& parts, const char* with) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : with) + part;
  return out;
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

std::vector<Attachment> stored(mysql::Connection& db) {
  const mysql::Result rows = db.exec(
      "SELECT table_schema, table_name, name, object, options, columns_seen, triggers FROM muskrat.attachments "
      "ORDER BY table_schema, table_name, name",
      Deadline::in(answer_time));
  std::vector<Attachment> found;
  for (int i = 0; i < rows.rows(); ++i) {
    const auto text = [&](int column) { return std::string(rows.text(i, column)); };
    found.push_back({text(0), text(1), text(2), text(3), text(4), text(5), text(6), ""});
  }
  return found;
}

std::vector<Attachment> stored_of(mysql::Connection& db, const TableName& table) {
  std::vector<Attachment> all = stored(db);
  std::erase_if(all, [&](const Attachment& a) { return a.schema != table.schema || a.table != table.name; });
  return all;
}

// CREATE TRIGGER takes functions that are not there, and the application's writes would fail. So the server is asked,
// with muskrat as the database: that finds built-in functions alone. Stored ones the triggers' owner might not run.
void check_condition(mysql::Connection& db, const Table& table, const Options& options) {
  if (options.condition.empty()) return;
  run(db, "USE muskrat");
  try {
    run(db, "SELECT (" + capture_mysql::qualified_condition(table, options.condition, "muskrat_row") + ") FROM " +
                table.quoted() + " AS muskrat_row LIMIT 0");
  } catch (const mysql::SqlError& error) {
    throw Refused("the condition " + options.condition + " cannot be used: " + error.what() +
                  ". It is one SQL expression over the table's columns and built-in functions, such as: volume > 5 AND "
                  "NOT deleted");
  }
}

// Writers wait meanwhile, so that no change is captured by half of the triggers, or by none.
class Locked {
 public:
  Locked(mysql::Connection& db, const TableName& table) : db_(db) {
    run(db_, "SET SESSION lock_wait_timeout = 10");
    run(db_, "LOCK TABLES " + quote_identifier(table.schema) + "." + quote_identifier(table.name) +
                 " WRITE, muskrat.attachments WRITE");
  }
  void release() { run(db_, "UNLOCK TABLES"); }

 private:
  mysql::Connection& db_;
};

void drop_trigger(mysql::Connection& db, const std::string& schema, const std::string& name) {
  run(db, "DROP TRIGGER IF EXISTS " + quote_identifier(schema) + "." + quote_identifier(name));
}

// Makes those that are not there. When the server refuses one, those made are dropped again.
//
// Triggers keep the sql_mode they were made under. What outgrows max_allowed_packet is NULL, which they look for;
// strict mode would make it an error, and the application's write would fail.
void make_triggers(mysql::Connection& db, const TableName& table, const Plan& plan) {
  const std::vector<std::string> there = triggers_there(db, table);
  std::vector<std::string> made;
  run(db, "SET @muskrat_sql_mode = @@sql_mode, SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'");
  try {
    for (const capture_mysql::Trigger& trigger : plan.triggers) {
      if (contains(there, trigger.name)) continue;
      run(db, trigger.sql);
      made.push_back(trigger.name);
    }
  } catch (const mysql::SqlError&) {
    for (const std::string& name : made) drop_trigger(db, table.schema, name);
    throw;
  }
  run(db, "SET SESSION sql_mode = @muskrat_sql_mode");
}

void store(mysql::Connection& db, const TableName& table, const Options& options, const Plan& plan) {
  std::vector<std::string> triggers;
  for (const auto& t : plan.triggers) triggers.push_back(t.name);
  const std::string name = options.attachment_name(), json = options.to_json(), seen = joined(plan.columns_seen, "\n"),
                    names = json_of(triggers);
  const std::array<mysql::Param, 7> params{table.schema, table.name, name, options.object, json, seen, names};
  db.exec(
      "REPLACE INTO muskrat.attachments (table_schema, table_name, name, object, options, columns_seen, triggers) "
      "VALUES (?, ?, ?, ?, ?, ?, ?)",
      params, Deadline::in(answer_time));
}

const Attachment* of_name(const std::vector<Attachment>& list, const std::string& name) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Attachment& a) { return a.name == name; });
  return found == list.end() ? nullptr : &*found;
}

Options wanted_options(const Table& table, const Attachment* old, const Options& given, Existing existing) {
  if (existing == Existing::refresh) {
    if (old == nullptr)
      throw Refused("table " + table.quoted() + " has no attachment \"" + given.attachment_name() + "\" to refresh");
    if (old->object != given.object)
      throw Refused("the attachment \"" + given.attachment_name() + "\" of table " + table.quoted() + " is of " +
                    old->object + "; to change that, give all its options, with --replace");
    return Options::from_json(old->options);
  }
  if (old != nullptr && existing == Existing::refuse) {
    throw Refused("table " + table.quoted() + " has an attachment \"" + given.attachment_name() +
                  "\" already; --replace puts this one in its place, --name gives this one a name of its own");
  }
  return given;
}

// As muskrat.check_object() of PostgreSQL.
void tell_of_others(const std::vector<Attachment>& all, const TableName& table, const std::string& object) {
  std::set<std::string> others;
  for (const Attachment& a : all)
    if (a.object == object && (a.schema != table.schema || a.table != table.name))
      others.insert(a.schema + "." + a.table);
  for (const std::string& other : others)
    complain("note: table " + harmless(other) + " is attached as " + harmless(object) +
             " too: rows of both with equal keys are one row to endpoints; give this one an object of its own, unless "
             "that is meant\n");
}

void attach(mysql::Connection& db, const TableName& name, const Options& given, Existing existing) {
  const Table table = require_table(db, name);
  const std::vector<Attachment> others = stored_of(db, name);
  const Attachment* old = of_name(others, given.attachment_name());
  const Options options = wanted_options(table, old, given, existing);
  const Plan plan = capture_mysql::plan_of(table, options);
  check_condition(db, table, options);
  run(db, "GRANT SELECT, TRIGGER ON " + table.quoted() + " TO 'muskrat_capture'@'localhost'");
  Locked locked(db, name);
  make_triggers(db, name, plan);
  for (const std::string& trigger : old != nullptr ? texts_of(old->triggers) : std::vector<std::string>()) {
    const bool kept =
        std::any_of(plan.triggers.begin(), plan.triggers.end(), [&](const auto& t) { return t.name == trigger; });
    if (!kept) drop_trigger(db, name.schema, trigger);
  }
  store(db, name, options, plan);
  locked.release();
  for (const std::string& warning : silent_writers(db, name)) complain("warning: " + warning + "\n");
  if (existing != Existing::refresh) tell_of_others(stored(db), name, options.object);
}

std::string drift_problem(const Table& now, const Attachment& a) {
  const auto drift = capture_mysql::drift_of(now, Options::from_json(a.options), lines_of(a.columns_seen));
  std::vector<std::string> parts;
  if (!drift.gone.empty()) {
    parts.push_back("EVERY WRITE TO THE TABLE FAILS: its triggers name columns that are gone: " +
                    joined(drift.gone, ", ") + "; attach it anew with --replace and other columns, or detach it");
  }
  if (!drift.changed.empty())
    parts.push_back("columns have changed: " + joined(drift.changed, ", ") + "; run attach --refresh");
  if (!drift.added.empty())
    parts.push_back("new columns are not captured yet: " + joined(drift.added, ", ") + "; run attach --refresh");
  return joined(parts, "; ");
}

std::string problem_of(mysql::Connection& db, const Attachment& a) {
  const TableName name{a.schema, a.table};
  const auto table = read_table(db, name);
  if (!table) return "the table is gone, or this user may not see it; detach it";
  std::vector<std::string> parts;
  if (const std::string drift = drift_problem(*table, a); !drift.empty()) parts.push_back(drift);
  const std::vector<std::string> there = triggers_there(db, name);
  std::vector<std::string> missing;
  for (const std::string& trigger : texts_of(a.triggers)) {
    if (!contains(there, trigger)) missing.push_back(trigger);
  }
  if (!missing.empty()) {
    parts.push_back("triggers are gone (or this user may not see them): " + joined(missing, ", ") +
                    "; run attach --refresh");
  }
  return joined(parts, "; ");
}

}  // namespace

std::string mysql_attach(mysql::Connection& db, const std::string& table, const Options& options, Existing existing) {
  require_server(db);
  try {
    attach(db, table_named(db, table), options, existing);
  } catch (const mysql::SqlError& error) {
    explain_ddl(error,
                "Attaching needs TRIGGER and SELECT on the table with GRANT OPTION, LOCK TABLES, the right to name "
                "another DEFINER (SET USER in MariaDB, SET_USER_ID or SET_ANY_DEFINER in MySQL), and ALL on database "
                "muskrat: attach as an administrator, with --dsn");
  }
  return options.attachment_name();
}

std::vector<std::string> mysql_detach(mysql::Connection& db, const std::string& table, const std::string& object) {
  const TableName name = table_named(db, table);
  const std::vector<Attachment> all = stored_of(db, name);
  if (all.empty()) throw Refused("table " + table + " is not attached; muskrat attached lists what is");
  std::vector<std::string> gone;
  for (const Attachment& a : all) {
    if (!object.empty() && object != a.name && object != a.object) continue;
    for (const std::string& trigger : texts_of(a.triggers)) drop_trigger(db, a.schema, trigger);
    const std::array<mysql::Param, 3> params{a.schema, a.table, a.name};
    db.exec("DELETE FROM muskrat.attachments WHERE table_schema = ? AND table_name = ? AND name = ?", params,
            Deadline::in(answer_time));
    gone.push_back(a.name);
  }
  if (gone.empty())
    throw Refused("table " + table + " has no attachment \"" + object + "\"; muskrat attached lists them");
  return gone;
}

std::vector<Attachment> mysql_attached(mysql::Connection& db, const std::optional<TableName>& table) {
  std::vector<Attachment> all = table ? stored_of(db, *table) : stored(db);
  for (Attachment& a : all) a.problem = problem_of(db, a);
  return all;
}

}  // namespace muskrat::cli

#include "cli/backfill_mysql.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

#include "cli/backfill_mysql_step.hpp"
#include "cli/context.hpp"
#include "cli/mysql_catalog.hpp"

namespace muskrat::cli {
namespace {

using capture_mysql::Refused;

constexpr std::array not_allowed{1044, 1142, 1143, 1227, 1370};
constexpr std::array no_tables{1049, 1146};

template <size_t N>
bool is_one_of(const std::array<int, N>& codes, int code) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

[[noreturn]] void explain(const mysql::SqlError& error, const std::string& place) {
  if (is_one_of(not_allowed, error.code())) {
    throw Failure(Remedy::stop, std::string(error.what()) +
                                    "; a backfill needs SELECT and LOCK TABLES on the table, SELECT and INSERT on "
                                    "muskrat.outbox, SELECT on muskrat.attachments and muskrat.relay, EXECUTE on "
                                    "muskrat.* and all of SELECT, INSERT, UPDATE and DELETE on muskrat.backfill and "
                                    "muskrat.backfill_later: name such a user with --dsn");
  }
  if (is_one_of(no_tables, error.code())) {
    throw Failure(Remedy::stop, std::string(error.what()) + " (" + place +
                                    "): run muskrat install again, it brings Muskrat's tables there up to date");
  }
  throw;
}

std::optional<std::string> given(const std::string& text) { return text.empty() ? std::nullopt : std::optional(text); }

class MysqlBackfillSource : public BackfillSource {
 public:
  MysqlBackfillSource(const Component& source, std::string dsn)
      : source_(source), dsn_(std::move(dsn)), db_(open_mysql_server(source, dsn_)), place_(db_.place()) {
    set_session();
    require_installed(db_, source.name);
    if (db_.mariadb() && db_.server_version() < 100600)
      throw Failure(Remedy::stop, place_ +
                                      " is older than MariaDB 10.6 and knows no SKIP LOCKED, without which a "
                                      "backfill would wait for the application's locks");
  }

  BackfillPlan plan(const BackfillOrder& order) override {
    return guarded([&] {
      const BackfillSql sql = backfill_sql_for(db_, order);
      BackfillPlan plan;
      plan.table = sql.table.schema + "." + sql.table.name;
      const std::array<mysql::Param, 2> name{sql.table.schema, sql.table.name};
      const mysql::Result size =
          ask("SELECT COALESCE(table_rows, 0), COALESCE(avg_row_length, 0) FROM information_schema.tables WHERE "
              "table_schema = ? AND table_name = ?",
              name);
      plan.rows = size.int64(0, 0);
      plan.row_bytes = size.int64(0, 1);
      for (const BackfillSql::Part& part : sql.parts) {
        plan.parts.push_back({part.name, part.options.object, part.words, "", !part.options.condition.empty()});
      }
      return plan;
    });
  }

  std::optional<int64_t> find(const BackfillOrder& order) override {
    return guarded([&]() -> std::optional<int64_t> {
      const BackfillSql sql = backfill_sql_for(db_, order);
      const std::string names = json_of(attachment_names(sql));
      const std::optional<std::string> endpoint = given(order.endpoint), condition = given(order.condition);
      const std::array<mysql::Param, 5> params{sql.table.schema, sql.table.name, names, endpoint, condition};
      const mysql::Result rows =
          ask("SELECT MAX(id) FROM muskrat.backfill WHERE state = 'running' AND started_by = CURRENT_USER() AND "
              "table_schema = ? AND table_name = ? AND attachments = ? AND endpoint <=> ? AND row_condition <=> ?",
              params);
      if (rows.null(0, 0)) return std::nullopt;
      return rows.int64(0, 0);
    });
  }

  int64_t start(const BackfillOrder& order) override {
    return guarded([&] {
      const BackfillSql sql = backfill_sql_for(db_, order);
      const mysql::Result last = ask(sql.last_key());
      std::optional<std::string> end;
      if (last.rows() > 0) end = json_of(key_of(last, 0, sql.key.size()));
      const std::string names = json_of(attachment_names(sql)), key = json_of(sql.key);
      const std::optional<std::string> endpoint = given(order.endpoint), condition = given(order.condition);
      const std::array<mysql::Param, 9> params{sql.table.schema, sql.table.name, names, endpoint, condition, key, end,
                                               sql.table.schema, sql.table.name};
      return ask("INSERT INTO muskrat.backfill (started_by, table_schema, table_name, attachments, endpoint, "
                 "row_condition, key_columns, end_key, estimate) VALUES (CURRENT_USER(), ?, ?, ?, ?, ?, ?, ?, "
                 "COALESCE((SELECT table_rows FROM information_schema.tables WHERE table_schema = ? AND table_name = "
                 "?), 0))",
                 params)
          .insert_id();
    });
  }

  void cancel(int64_t id) override {
    guarded([&] {
      const std::array<mysql::Param, 1> params{id};
      if (ask("UPDATE muskrat.backfill SET state = 'cancelled' WHERE id = ? AND state = 'running' AND started_by = "
              "CURRENT_USER()",
              params)
              .affected() == 0)
        throw Refused("you have no unfinished backfill " + std::to_string(id) + "; muskrat backfill --list lists them");
      ask("DELETE FROM muskrat.backfill_later WHERE backfill = ?", params);
    });
  }

  std::vector<BackfillEntry> list() override {
    return guarded([&] {
      const mysql::Result rows =
          ask("SELECT b.id, b.estimate, CONCAT(b.table_schema, '.', b.table_name), COALESCE(b.endpoint, ''), b.state, "
              "b.started_by, DATE_FORMAT(b.started_at, '%Y-%m-%dT%H:%i:%sZ'), b.attachments, b.started_by = "
              "CURRENT_USER(), b.passed, b.events, b.bytes, (SELECT COUNT(*) FROM muskrat.backfill_later l WHERE "
              "l.backfill = b.id) FROM muskrat.backfill b ORDER BY b.id");
      std::vector<BackfillEntry> entries;
      for (int i = 0; i < rows.rows(); ++i) {
        const auto text = [&](int column) { return std::string(rows.text(i, column)); };
        std::string names;
        for (const std::string& name : texts_of(rows.text(i, 7))) names += (names.empty() ? "" : ", ") + name;
        BackfillEntry entry{rows.int64(i, 0),
                            rows.int64(i, 1),
                            text(2),
                            text(3),
                            text(4),
                            text(5),
                            text(6),
                            names,
                            rows.boolean(i, 8),
                            {}};
        entry.at = {entry.state == "running", rows.int64(i, 9), rows.int64(i, 10), rows.int64(i, 11),
                    rows.int64(i, 12)};
        entries.push_back(std::move(entry));
      }
      return entries;
    });
  }

  // The lock belongs to the session, so it goes with whoever is killed.
  bool take(int64_t id) override {
    const std::string name = "muskrat.backfill." + std::to_string(id);
    const std::array<mysql::Param, 1> params{name};
    return ask("SELECT COALESCE(GET_LOCK(?, 0), 0)", params).boolean(0, 0);
  }

  std::optional<BackfillState> step(int64_t id, int64_t rows, std::string& why) override {
    try {
      db_.exec("START TRANSACTION", Deadline::in(answer_time));
      const BackfillState at = step_.run(id, rows);
      db_.exec("COMMIT", Deadline::in(answer_time));
      return at;
    } catch (const mysql::SqlError& error) {
      // A session that lost its transaction to a deadlock has none to roll back, which is fine.
      if (error.remedy() == Remedy::reconnect && !error.transient()) throw;
      db_.exec("ROLLBACK", Deadline::in(answer_time));
      if (!error.transient()) explain(error, place_);
      why = error.what();
      return std::nullopt;
    }
  }

  BackfillPressure pressure(int64_t bound) override {
    const std::array<mysql::Param, 1> params{bound};
    const mysql::Result row =
        ask("SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM muskrat.outbox LIMIT ?) x), holder <> '' FROM muskrat.relay "
            "WHERE only_row = 1",
            params);
    if (row.rows() == 0) return {};
    return {row.int64(0, 0), row.boolean(0, 1)};
  }

  bool mends(const Failure& failure) const override {
    const auto* refused = dynamic_cast<const mysql::SqlError*>(&failure);
    return refused ? refused->transient() : failure.remedy() == Remedy::reconnect;
  }

  void reconnect(const Stop&) override {
    db_ = open_mysql_server(source_, dsn_);
    set_session();
  }

  const std::string& place() const override { return place_; }

 private:
  template <typename Act>
  std::invoke_result_t<Act> guarded(Act act) {
    try {
      return act();
    } catch (const mysql::SqlError& error) {
      explain(error, place_);
    }
  }

  mysql::Result ask(const std::string& sql, std::span<const mysql::Param> params = {}) {
    return db_.exec(sql, params, Deadline::in(answer_time));
  }

  // Chunks wait for nobody: neither for rows nor for an ALTER TABLE. The sql_mode is the triggers': under it a body
  // that outgrows max_allowed_packet is NULL, which the expressions look for, and not an error.
  void set_session() {
    db_.exec(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION lock_wait_timeout = 2, "
        "innodb_lock_wait_timeout = 2, sql_mode = 'NO_ENGINE_SUBSTITUTION'",
        Deadline::in(answer_time));
  }

  const Component& source_;
  const std::string dsn_;
  mysql::Connection db_;
  const std::string place_;
  MysqlBackfillStep step_{db_};
};

}  // namespace

std::unique_ptr<BackfillSource> open_mysql_backfill(const Component& source, const std::string& dsn) {
  return std::make_unique<MysqlBackfillSource>(source, dsn);
}

}  // namespace muskrat::cli

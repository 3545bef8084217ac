#include "cli/backfill_source.hpp"

#include <algorithm>

#include "cli/backfill_mysql.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/refusal.hpp"

namespace muskrat::cli {
namespace {

constexpr milliseconds step_time = std::chrono::minutes(5);

// What the server says when the caller is not who may, or the extension is not what it should be. Called where `error`
// is being handled.
[[noreturn]] void explain(const pg::SqlError& error, const std::string& place) {
  if (error.sqlstate() == "42P01") no_extension(error, place, "backfill");
  explain_refusal(error, place, "backfill",
                  "a backfill needs the rights of the table's owner and the role muskrat_attach: name such a user with "
                  "--dsn");
}

// A lock that somebody took for a moment (DDL on the table), a row that moved between partitions under us.
bool passes(const pg::SqlError& error) {
  return error.sqlstate() == "55P03" || error.sqlstate() == "40001" || error.sqlstate() == "40P01";
}

class PgBackfillSource : public BackfillSource {
 public:
  PgBackfillSource(const Component& source, std::string dsn)
      : source_(source), dsn_(std::move(dsn)), db_(open_source(source, dsn_)), place_(db_.place()) {
    set_session();
  }

  BackfillPlan plan(const BackfillOrder& order) override {
    const pg::Result rows = ask(
        "SELECT table_name, attachment_name, object, words, table_rows, row_bytes, tables, conditional, problem FROM "
        "muskrat.backfill_plan($1, $2, $3)",
        {order.table, given(order.attachment), given(order.condition)});
    BackfillPlan plan;
    for (int i = 0; i < rows.rows(); ++i) {
      plan.table = rows.text(i, 0);
      plan.rows = rows.int64(i, 4);
      plan.row_bytes = rows.int64(i, 5);
      plan.tables = rows.int64(i, 6);
      plan.parts.push_back({std::string(rows.text(i, 1)), std::string(rows.text(i, 2)), std::string(rows.text(i, 3)),
                            std::string(rows.text(i, 8)), rows.boolean(i, 7)});
    }
    return plan;
  }

  std::optional<int64_t> find(const BackfillOrder& order) override {
    const pg::Result rows = ask(
        "SELECT max(id) FROM muskrat.backfill WHERE state = 'running' AND started_by = current_user AND relation = "
        "muskrat.table_named($1)::pg_catalog.oid AND attachments = "
        "muskrat.backfill_attachments(muskrat.table_named($1), $2) AND endpoint IS NOT DISTINCT FROM $3 AND condition "
        "IS NOT DISTINCT FROM $4",
        arguments(order));
    if (rows.null(0, 0)) return std::nullopt;
    return rows.int64(0, 0);
  }

  int64_t start(const BackfillOrder& order) override {
    return ask("SELECT muskrat.backfill_start($1, $2, $3, $4)", arguments(order)).int64(0, 0);
  }

  void cancel(int64_t id) override { ask("SELECT muskrat.backfill_cancel($1)", {std::to_string(id)}); }

  std::vector<BackfillEntry> list() override {
    const pg::Result rows = ask(
        "SELECT id, table_name, coalesce(endpoint, ''), state, started_by, pg_catalog.to_char(started_at AT TIME ZONE "
        "'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), pg_catalog.array_to_string(attachments, ', '), estimate, passed, "
        "events, bytes, later, started_by = current_user FROM muskrat.backfills()",
        {});
    std::vector<BackfillEntry> entries;
    for (int i = 0; i < rows.rows(); ++i) {
      const auto text = [&](int column) { return std::string(rows.text(i, column)); };
      BackfillEntry entry{rows.int64(i, 0), rows.int64(i, 7),    text(1), text(2), text(3), text(4), text(5),
                          text(6),          rows.boolean(i, 12), {}};
      entry.at = {entry.state == "running", rows.int64(i, 8), rows.int64(i, 9), rows.int64(i, 10), rows.int64(i, 11)};
      entries.push_back(std::move(entry));
    }
    return entries;
  }

  // The lock belongs to the session, so it goes with whoever is killed.
  bool take(int64_t id) override {
    return ask("SELECT pg_catalog.pg_try_advisory_lock('muskrat.backfill'::pg_catalog.regclass::pg_catalog.oid::int4, "
               "$1::int4)",
               {std::to_string(id)})
        .boolean(0, 0);
  }

  std::optional<BackfillState> step(int64_t id, int64_t rows, std::string& why) override {
    const std::string number = std::to_string(id), most = std::to_string(rows);
    const std::vector<pg::Param> params{number, most};
    try {
      const pg::Result result =
          db_.exec_prepared("SELECT state, passed, events, bytes, later FROM muskrat.backfill_step($1, $2)", params,
                            Deadline::in(step_time));
      return BackfillState{result.text(0, 0) == "running", result.int64(0, 1), result.int64(0, 2), result.int64(0, 3),
                           result.int64(0, 4)};
    } catch (const pg::SqlError& error) {
      if (!passes(error)) explain(error, place_);
      why = error.what();
      return std::nullopt;
    }
  }

  BackfillPressure pressure(int64_t bound) override {
    const pg::Result row = ask("SELECT events, relay FROM muskrat.backfill_pressure($1)", {std::to_string(bound)});
    return {row.int64(0, 0), row.boolean(0, 1)};
  }

  bool mends(const Failure& failure) const override {
    const auto* refused = dynamic_cast<const pg::SqlError*>(&failure);
    return refused ? refused->transient() : failure.remedy() == Remedy::reconnect;
  }

  void reconnect(const Stop& stop) override {
    db_ = open_source(source_, dsn_, &stop);
    set_session();
  }

  const std::string& place() const override { return place_; }

 private:
  using Arguments = std::vector<std::optional<std::string>>;

  static std::optional<std::string> given(const std::string& text) {
    return text.empty() ? std::nullopt : std::optional(text);
  }
  static Arguments arguments(const BackfillOrder& order) {
    return {order.table, given(order.attachment), given(order.endpoint), given(order.condition)};
  }

  // Rows are locked while a chunk is told: that must not wait for the disk. A chunk that a crash loses is told again,
  // since its place goes with it; and the relay publishes nothing that is not durable.
  void set_session() {
    db_.exec("SET synchronous_commit = off; SET jit = off; SET default_transaction_isolation = 'read committed'",
             Deadline::in(answer_time));
  }

  pg::Result ask(const std::string& sql, const Arguments& values) {
    const std::vector<pg::Param> params(values.begin(), values.end());
    try {
      return db_.exec(sql, params, Deadline::in(answer_time));
    } catch (const pg::SqlError& error) {
      explain(error, place_);
    }
  }

  const Component& source_;
  const std::string dsn_;
  pg::Connection db_;
  const std::string place_;
};

}  // namespace

std::unique_ptr<BackfillSource> open_backfill_source(const Component& source, const std::string& dsn) {
  if (source.kind == "mysql") return open_mysql_backfill(source, dsn);
  if (source.kind != "postgres")
    throw UsageError("the source " + source.name + " is of kind " + source.kind +
                     "; rows can be backfilled from sources of the kinds postgres and mysql");
  return std::make_unique<PgBackfillSource>(source, dsn);
}

}  // namespace muskrat::cli

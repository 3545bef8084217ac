#include "relay/sources/postgres_outbox_db.hpp"

#include <charconv>
#include <utility>

namespace muskrat::postgres_outbox {
namespace {

// The planner knows nothing of the segments (no statistics on purpose), so it is told: by place, no workers, no JIT.
// Standbys are waited for, whatever the role's defaults say; no snapshot is held between statements.
const char* const session_settings =
    "SET jit = off; SET max_parallel_workers_per_gather = 0; SET enable_seqscan = off;"
    "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed';"
    "SET default_transaction_read_only = off; SET idle_in_transaction_session_timeout = 0;"
    "SET statement_timeout = 0; SET lock_timeout = '2s'; SET plan_cache_mode = "
    "force_generic_plan; SET bytea_output = "
    "'hex'; SET DateStyle = 'ISO';"
    "SET search_path = pg_catalog, pg_temp; SHOW synchronous_standby_names";

// A read of what one transaction wrote cannot be cut in parts, however much that was.
constexpr milliseconds patience_time = std::chrono::hours(1);

// Behind a pooler a session setting may be somebody else's by the next statement: nothing that is read or published
// depends on them for being right. docs/relay.md says what the role's own defaults must not be there.

std::optional<std::string> text_or_null(const pg::Result& row, int column) {
  if (row.null(0, column)) return std::nullopt;
  return std::string(row.text(0, column));
}

}  // namespace

std::string array_literal(const std::vector<int64_t>& ids) {
  std::string text = "{";
  for (int64_t id : ids) text += (text.size() > 1 ? "," : "") + std::to_string(id);
  return text + "}";
}

std::vector<int64_t> parse_ids(std::string_view literal) {
  std::vector<int64_t> ids;
  const char* at = literal.data();
  const char* end = at + literal.size();
  while (at < end) {
    int64_t id = 0;
    auto parsed = std::from_chars(at, end, id);
    if (parsed.ec == std::errc()) ids.push_back(id);
    at = parsed.ec == std::errc() ? parsed.ptr : at + 1;
  }
  return ids;
}

Db Db::open(const pg::Address& address, milliseconds limit, const Stop& stop) {
  pg::Connection connection = pg::Connection::open(address, Deadline::in(limit), &stop);
  const pg::Result standbys = connection.exec(session_settings, Deadline::in(limit));
  Db db(std::move(connection), limit);
  db.awaits_standbys_ = !standbys.text(0, 0).empty();
  return db;
}

Db::Patience::Patience(Db& db, const std::function<void()>& beat) : db_(db), limit_before_(db.limit_) {
  db_.limit_ = patience_time;
  db_.connection_.on_wait(beat);
}

Db::Patience::~Patience() {
  db_.limit_ = limit_before_;
  db_.connection_.on_wait({});
}

void Db::explain(const pg::SqlError& error) const {
  const std::string& state = error.sqlstate();
  const std::string& place = connection_.place();
  if (state == "MK001") throw LeaseLost(error.what());
  if (state == "MK002") throw Misconfigured(error.what(), false);
  if (state == "MK003") throw Misconfigured(error.what(), true);
  if (state == "3F000" || state == "42883" || state == "42P01") {
    throw Misconfigured("the extension muskrat is not in " + place +
                            ", or is of another version; run CREATE EXTENSION muskrat (or ALTER EXTENSION muskrat "
                            "UPDATE; see Upgrading in docs/operations.md) there: " +
                            error.what(),
                        true);
  }
  if (state == "42501") {
    throw Misconfigured("the relay's role may not read the outbox of " + place +
                            "; run GRANT muskrat_relay TO the role it logs in as: " + error.what(),
                        true);
  }
  throw Failure(Remedy::reconnect, place + ": " + error.what());
}

void Db::send_ahead(const std::string& sql, std::span<const pg::Param> params, pg::Format format,
                    std::function<void()> beat) {
  receive_ahead();
  ahead_beat_ = std::move(beat);
  ahead_.reset();
  try {
    connection_.send_prepared(sql, params, deadline(), format);
  } catch (const pg::SqlError& error) {
    explain(error);
  }
  awaited_ = true;
}

std::optional<pg::Result> Db::take_ahead() {
  receive_ahead();
  return std::exchange(ahead_, std::nullopt);
}

void Db::forget_ahead() {
  ahead_.reset();
  ahead_beat_ = {};
}

void Db::receive_ahead() {
  if (!std::exchange(awaited_, false)) return;
  std::optional<Patience> patience;
  if (ahead_beat_) patience.emplace(*this, ahead_beat_);
  try {
    ahead_ = connection_.receive(deadline());
  } catch (const pg::SqlError&) {
    // whoever wants it asks again, and is told
  }
}

pg::Result Db::ask(const std::string& sql, std::span<const pg::Param> params, pg::Format format) {
  receive_ahead();
  try {
    return connection_.exec_prepared(sql, params, deadline(), format);
  } catch (const pg::SqlError& error) {
    explain(error);
  }
}

// One whose standbys are away sits in its commit until the deadline: the connection alone does not know why.
pg::Result Db::write(const std::string& sql, std::span<const pg::Param> params) {
  receive_ahead();
  const Deadline end = deadline();
  try {
    return connection_.exec_prepared(sql, params, end);
  } catch (const pg::SqlError& error) {
    explain(error);
  } catch (const Failure& failure) {
    if (!awaits_standbys_ || !end.passed()) throw;
    throw Failure(failure.remedy(), std::string(failure.what()) +
                                        "; or the server's synchronous standbys do not confirm commits: repair the "
                                        "standby or take it out of synchronous_standby_names");
  }
}

void Db::copy_out(const std::string& query, const std::function<void(const pg::CopyRows::Fields&)>& row) {
  receive_ahead();
  try {
    connection_.copy_out(query, row, deadline());
  } catch (const pg::SqlError& error) {
    explain(error);
  }
}

Hello Db::hello() {
  pg::Result row =
      ask("SELECT version, server_encoding, in_recovery, epoch, term, beat, holder, last, current, current_id, held, "
          "history_problem FROM muskrat.relay_hello()",
          {});
  Hello hello;
  hello.version = row.text(0, 0);
  hello.server_encoding = row.text(0, 1);
  hello.in_recovery = row.boolean(0, 2);
  hello.epoch = row.int64(0, 3);
  hello.lease = {row.int64(0, 4), row.int64(0, 5), std::string(row.text(0, 6))};
  hello.last = text_or_null(row, 7);
  hello.current = text_or_null(row, 8);
  if (hello.current) hello.current_id = row.int64(0, 9);
  hello.held = parse_ids(row.text(0, 10));
  hello.history_problem = row.text(0, 11);
  return hello;
}

std::optional<int64_t> Db::lease_take(const LeaseView& seen, const std::string& holder) {
  std::string term = std::to_string(seen.term), beat = std::to_string(seen.beat);
  pg::Param params[] = {term, beat, holder};
  pg::Result row = write("SELECT muskrat.lease_take($1::bigint, $2::bigint, $3)", params);
  if (row.null(0, 0)) return std::nullopt;
  return row.int64(0, 0);
}

void Db::lease_beat(int64_t term) {
  std::string text = std::to_string(term);
  pg::Param params[] = {text};
  write("SELECT muskrat.lease_beat($1::bigint)", params);
}

void Db::lease_release(int64_t term) {
  std::string text = std::to_string(term);
  pg::Param params[] = {text};
  write("SELECT muskrat.lease_release($1::bigint)", params);
}

int64_t Db::cursor_save(int64_t term, const Cursor& cursor) {
  std::string term_text = std::to_string(term), id = std::to_string(cursor.current_id);
  std::string held = array_literal(cursor.held);
  pg::Param current, current_id;
  if (cursor.current) {
    current = *cursor.current;
    current_id = id;
  }
  pg::Param params[] = {term_text, cursor.last, current, current_id, held};
  return write("SELECT muskrat.cursor_save($1::bigint, $2::pg_snapshot, $3::pg_snapshot, $4::bigint, $5::bigint[])",
               params)
      .int64(0, 0);
}

void Db::doze(int64_t term) {
  const std::string term_text = std::to_string(term), pid = std::to_string(connection_.backend_pid());
  pg::Param params[] = {term_text, pid};
  write("SELECT muskrat.doze($1::bigint, $2::int)", params);
}

Tended Db::tend(int64_t term, int64_t switch_bytes, milliseconds retention) {
  std::string term_text = std::to_string(term), bytes = std::to_string(switch_bytes);
  std::string interval = std::to_string(retention.count()) + " milliseconds";
  pg::Param params[] = {term_text, bytes, interval};
  pg::Result row = write(
      "SELECT switched, cardinality(freed) > 0, waiting_for "
      "FROM muskrat.segments_tend($1::bigint, $2::bigint, $3::interval)",
      params);
  return {row.boolean(0, 0), row.boolean(0, 1), std::string(row.text(0, 2))};
}

void Db::listen() { ask("LISTEN muskrat", {}); }

bool Db::rung() {
  bool any = false;
  while (connection_.next_notification()) any = true;
  return any;
}

bool Db::commit_marker() {
  int warnings = connection_.warnings_seen();
  // In the statement itself, for behind a pooler the session's settings may be another session's. Where the role hears
  // errors alone, the server would say nothing of a wait that somebody cancelled.
  write(
      "SELECT set_config('synchronous_commit', 'on', true), set_config('client_min_messages', 'warning', true), "
      "pg_logical_emit_message(true, 'muskrat', '')",
      {});
  return connection_.warnings_seen() == warnings;
}

}  // namespace muskrat::postgres_outbox

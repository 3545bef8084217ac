#include "cli/backfill_mysql_step.hpp"

#include <algorithm>
#include <array>

#include "cli/backfill_mysql_tell.hpp"
#include "cli/context.hpp"
#include "cli/mysql_catalog.hpp"

namespace muskrat::cli {
namespace {

using capture_mysql::quote_identifier;
using capture_mysql::Refused;

}  // namespace

// A backfill as it stands in the database.
struct MysqlBackfillStep::Stand {
  BackfillOrder order;
  BackfillState at;
  int64_t id = 0;
  std::string state, attachments, key_columns;
  RowKey after, last;
  bool walked = false;
};

mysql::Result MysqlBackfillStep::ask(const std::string& sql, std::span<const mysql::Param> params) {
  return db_.exec(sql, params, Deadline::in(answer_time));
}

BackfillState MysqlBackfillStep::run(int64_t id, int64_t most) {
  Stand stand = stand_of(id);
  const bool runs = stand.state == "running";
  if (runs) {
    const BackfillSql& sql = sql_in_hand(stand);
    stand.walked ? again(sql, stand, most) : walk(sql, stand, most);
  }
  const std::array<mysql::Param, 1> which{id};
  stand.at.later = ask("SELECT COUNT(*) FROM muskrat.backfill_later WHERE backfill = ?", which).int64(0, 0);
  stand.at.running = runs && (!stand.walked || stand.at.later > 0);
  if (runs) keep(stand);
  return stand.at;
}

MysqlBackfillStep::Stand MysqlBackfillStep::stand_of(int64_t id) {
  const std::array<mysql::Param, 1> params{id};
  const mysql::Result row =
      ask("SELECT state, passed, events, bytes, at_key, end_key, walked, table_schema, table_name, attachments, "
          "endpoint, row_condition, key_columns, started_by = CURRENT_USER() FROM muskrat.backfill WHERE id = ? FOR "
          "UPDATE",
          params);
  if (row.rows() == 0) throw Refused("the backfill " + std::to_string(id) + " is gone");
  if (!row.boolean(0, 13))
    throw Refused("backfill " + std::to_string(id) + " was started by another user, who goes on with it");
  const auto text = [&](int column) { return std::string(row.text(0, column)); };
  Stand stand;
  stand.id = id;
  stand.state = text(0);
  stand.at = {true, row.int64(0, 1), row.int64(0, 2), row.int64(0, 3), 0};
  stand.after = texts_of(row.text(0, 4));
  stand.last = texts_of(row.text(0, 5));
  stand.walked = row.boolean(0, 6) || stand.last.empty();
  stand.order = {quote_identifier(text(7)) + "." + quote_identifier(text(8)), "", text(10), text(11)};
  stand.attachments = text(9);
  stand.key_columns = text(12);
  return stand;
}

// As the attachments are now; read anew where one was made again.
const BackfillSql& MysqlBackfillStep::sql_in_hand(const Stand& stand) {
  const mysql::Result now = ask("SELECT MAX(id), COUNT(*) FROM muskrat.attachments");
  const std::string id = std::to_string(stand.id);
  const std::string stamp = id + " " + std::string(now.text(0, 0)) + " " + std::string(now.text(0, 1));
  if (stamp == stamp_) return sql_;
  sql_ = backfill_sql_for(db_, stand.order);
  const std::vector<std::string> meant = texts_of(stand.attachments);
  std::erase_if(sql_.parts, [&](const BackfillSql::Part& part) {
    return std::find(meant.begin(), meant.end(), part.name) == meant.end();
  });
  if (sql_.parts.size() != meant.size())
    throw Refused("an attachment that this backfill tells as is gone; cancel it: muskrat backfill --cancel " + id);
  if (json_of(sql_.key) != stand.key_columns)
    throw Refused("the key of " + sql_.table.quoted() +
                  " changed while it was walked; cancel this backfill (--cancel " + id +
                  ") and start another: nothing is harmed by telling a row twice");
  stamp_ = stamp;
  return sql_;
}

void MysqlBackfillStep::keep(const Stand& stand) {
  const std::optional<std::string> after = stand.after.empty() ? std::nullopt : std::optional(json_of(stand.after));
  const std::array<mysql::Param, 7> params{stand.at.running ? "running" : "done",
                                           after,
                                           stand.walked ? 1 : 0,
                                           stand.at.passed,
                                           stand.at.events,
                                           stand.at.bytes,
                                           stand.id};
  ask("UPDATE muskrat.backfill SET state = ?, at_key = ?, walked = ?, passed = ?, events = ?, bytes = ?, moved_at = "
      "UTC_TIMESTAMP(6) WHERE id = ?",
      params);
}

// The next rows: first which ones, without locks; then all that can be are locked, and told; the others are noted.
void MysqlBackfillStep::walk(const BackfillSql& sql, Stand& stand, int64_t most) {
  const size_t width = sql.key.size();
  const mysql::Result next = ask(sql.next(sql.between(stand.after, stand.last), most));
  if (next.rows() > 0) {
    const RowKey last = key_of(next, next.rows() - 1, width);
    const mysql::Result locked = ask(sql.lock(sql.between(stand.after, last)));
    std::set<RowKey> held;
    for (int i = 0; i < locked.rows(); ++i) held.insert(key_of(locked, i, width));
    tell(sql, held, stand.at);
    for (int i = 0; i < next.rows(); ++i) {
      const RowKey key = key_of(next, i, width);
      if (next.boolean(i, static_cast<int>(width)) && !held.contains(key)) note(stand.id, key);
    }
    stand.after = last;
  }
  stand.at.passed += next.rows();
  stand.walked = next.rows() < most;
}

void MysqlBackfillStep::note(int64_t id, const RowKey& key) {
  const std::string text = json_of(key);
  const std::array<mysql::Param, 2> params{id, text};
  ask("INSERT INTO muskrat.backfill_later (backfill, row_key) VALUES (?, ?)", params);
}

void MysqlBackfillStep::tell(const BackfillSql& sql, const std::set<RowKey>& rows, BackfillState& at) {
  if (rows.empty()) return;
  const ToldRows told = tell_rows(db_, sql, rows);
  if (told.events == 0) return;
  at.events += told.events;
  // Those of another backfill that were committed meanwhile may be among them: a figure for people.
  const std::array<mysql::Param, 1> params{told.first_id};
  at.bytes += ask("SELECT COALESCE(SUM(OCTET_LENGTH(body)), 0) FROM muskrat.outbox WHERE id >= ? AND op = 'b'", params)
                  .int64(0, 0);
}

// Those that were locked, again. One that is gone told of its end itself.
void MysqlBackfillStep::again(const BackfillSql& sql, Stand& stand, int64_t most) {
  const std::array<mysql::Param, 2> params{stand.id, most};
  const mysql::Result rows =
      ask("SELECT id, row_key FROM muskrat.backfill_later WHERE backfill = ? ORDER BY tries, id LIMIT ?", params);
  for (int i = 0; i < rows.rows(); ++i) {
    const std::string which = sql.exactly(texts_of(rows.text(i, 1)));
    const bool there = ask(sql.next(which, 1)).rows() > 0;
    const mysql::Result lock = ask(sql.lock(which));
    const bool locked = there && lock.rows() == 0;
    if (lock.rows() > 0) tell(sql, {key_of(lock, 0, sql.key.size())}, stand.at);
    const std::array<mysql::Param, 1> id{rows.int64(i, 0)};
    ask(locked ? "UPDATE muskrat.backfill_later SET tries = tries + 1 WHERE id = ?"
               : "DELETE FROM muskrat.backfill_later WHERE id = ?",
        id);
  }
}

}  // namespace muskrat::cli

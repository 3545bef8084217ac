#include "cli/status_mysql.hpp"

#include "cli/context.hpp"

namespace muskrat::cli {
namespace {

constexpr int64_t patience_s = 300;

void add_backfill(const mysql::Result& rows, int row, SourceStatus& status) {
  const auto text = [&](int column) { return std::string(rows.text(row, column)); };
  const std::string id = text(0);
  std::string value =
      text(1) + (text(2).empty() ? "" : " to " + text(2)) + ": " + text(3) + " of about " + text(4) + " rows";
  if (rows.int64(row, 5) > 0) value += ", " + text(5) + " locked by others";
  status.items.push_back({"backfill " + id, value,
                          rows.boolean(row, 6) ? "it stands still since " + text(7) +
                                                     ": muskrat backfill --resume goes on, --cancel " + id + " ends it"
                                               : ""});
}

// The relay's user, which asks here, may do without the right to see them, and a schema of before them is no trouble.
void ask_backfills(mysql::Connection& db, SourceStatus& status) {
  try {
    const mysql::Result rows = db.exec(
        "SELECT b.id, CONCAT(b.table_schema, '.', b.table_name), COALESCE(b.endpoint, ''), b.passed, "
        "GREATEST(b.estimate, b.passed), (SELECT COUNT(*) FROM muskrat.backfill_later l WHERE l.backfill = b.id), "
        "b.moved_at < UTC_TIMESTAMP(6) - INTERVAL 5 MINUTE, DATE_FORMAT(b.moved_at, '%Y-%m-%d %H:%i:%s UTC') "
        "FROM muskrat.backfill b WHERE b.state = 'running' ORDER BY b.id",
        Deadline::in(answer_time));
    for (int i = 0; i < rows.rows(); ++i) add_backfill(rows, i, status);
  } catch (const mysql::SqlError& error) {
    constexpr int denied_table = 1142, no_table = 1146;
    if (error.code() != denied_table && error.code() != no_table) throw;
    if (error.code() == denied_table)
      status.items.push_back(
          {"backfills", "not shown: grant SELECT on muskrat.backfill and muskrat.backfill_later", ""});
  }
}

// "" when the leader lives. A relay renews its lease several times in `lease_time`, which is five minutes at most.
std::string leader_problem(mysql_outbox::Db& db, const std::string& holder) {
  if (holder.empty()) return "no relay leads: start muskrat relay";
  if (holder_is_dead(holder)) return "it was killed, or crashed: look at its log, and start muskrat relay";
  const int64_t silent = db.silent_s().value_or(0);
  if (silent < patience_s) return "";
  return "no sign of life from it for " + std::to_string(silent) +
         " s: it was killed, or cannot reach this server; look at its log";
}

// The oldest event that is not held; those are told of apart.
void ask_oldest(mysql_outbox::Db& db, const std::vector<int64_t>& held, SourceStatus& status) {
  const std::string but = held.empty() ? "" : " WHERE id NOT IN (" + mysql_outbox::id_list(held) + ")";
  const mysql::Result age = db.ask("SELECT TIMESTAMPDIFF(SECOND, captured_at, UTC_TIMESTAMP(6)) FROM muskrat.outbox" +
                                   but + " ORDER BY id LIMIT 1");
  if (age.rows() == 0) return;
  status.items.push_back(
      {"oldest", std::string(age.text(0, 0)) + " s",
       age.int64(0, 0) > patience_s ? "events wait for the relay: look at its log, and at RabbitMQ" : ""});
}

}  // namespace

void ask_mysql_status(const Component& source, const Stop& stop, SourceStatus& status) {
  mysql_outbox::Db db = open_mysql_source(source, "", &stop);
  status.place = db.connection().place();
  const mysql_outbox::Hello hello = db.hello();
  const std::string& holder = hello.lease.holder;
  // Counting all of a large backlog would take long; what matters is whether it is one.
  const mysql::Result waiting = db.ask("SELECT COUNT(*) FROM (SELECT id FROM muskrat.outbox LIMIT 100001) AS some");
  const int64_t count = waiting.int64(0, 0);
  status.items.push_back({"epoch", std::to_string(hello.epoch), ""});
  status.items.push_back({"history", hello.server, hello.history_problem});
  status.items.push_back(
      {"leader", holder.empty() ? "none" : holder.substr(0, holder.find(' ')), leader_problem(db, holder)});
  status.items.push_back({"waiting", count > 100'000 ? "more than 100000" : std::to_string(count), ""});
  ask_oldest(db, hello.held, status);
  status.items.push_back({"held", std::to_string(hello.held.size()),
                          hello.held.empty() ? "" : "events that the broker would not take: see the relay's log"});
  if (hello.read_only) status.items.push_back({"role", "read-only", "this server is a replica; name the primary"});
  if (!hello.durability.empty()) status.items.push_back({"durability", "weak", hello.durability});
  if (!hello.warning.empty()) status.items.push_back({"writers", "several", hello.warning});
  ask_backfills(db.connection(), status);
}

}  // namespace muskrat::cli

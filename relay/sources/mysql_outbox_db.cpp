#include "relay/sources/mysql_outbox_db.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <unordered_set>

#include "common/log.hpp"

namespace muskrat::mysql_outbox {
namespace {

// A leader that vanishes or freezes in the middle of a transaction keeps the lease row locked, and stand-bys waiting,
// no longer than this: MariaDB ends such a transaction after `idle`, MySQL the session after a minute. It reads what
// stands behind /*M! as a comment.
std::string session_settings(std::chrono::seconds idle) {
  return "SET SESSION wait_timeout = 60, innodb_lock_wait_timeout = 2 /*M!100300 , idle_write_transaction_timeout = " +
         std::to_string(std::max<int64_t>(idle.count(), 1)) + " */";
}

constexpr int tries = 5;

const char* const variables =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'server_id', 'hostname', 'port', "
    "'read_only', 'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog', 'binlog_format', "
    "'auto_increment_increment', 'wsrep_on')";

using Variables = std::map<std::string, std::string, std::less<>>;

std::string value(const Variables& all, std::string_view name) {
  auto found = all.find(name);
  return found == all.end() ? "" : found->second;
}

bool on(const std::string& text) { return text == "ON" || text == "1"; }

struct Identity {
  std::string text, sql;  // as it is here; and what gives it on whichever server it is asked
};

// MySQL's server_uuid and MariaDB's server_uid stay with the server's data and differ between machines; a MariaDB
// without it is known by its address.
Identity identity_of(const Variables& all) {
  const std::string id = value(all, "server_id");
  for (const char* name : {"server_uuid", "server_uid"}) {
    if (const auto own = value(all, name); !own.empty())
      return {own + " #" + id, std::string("CONCAT(@@GLOBAL.") + name + ", ' #', @@GLOBAL.server_id)"};
  }
  return {value(all, "hostname") + ":" + value(all, "port") + " #" + id,
          "CONCAT(@@GLOBAL.hostname, ':', @@GLOBAL.port, ' #', @@GLOBAL.server_id)"};
}

std::string durability_of(const Variables& all) {
  std::string what;
  if (value(all, "innodb_flush_log_at_trx_commit") != "1")
    what = "innodb_flush_log_at_trx_commit is " + value(all, "innodb_flush_log_at_trx_commit");
  if (on(value(all, "log_bin")) && value(all, "sync_binlog") != "1")
    what += (what.empty() ? "" : " and ") + std::string("sync_binlog is ") + value(all, "sync_binlog");
  return what.empty() ? "" : what + ", not 1: a crash of the machine may undo changes that were published";
}

std::string warning_of(const Variables& all) {
  if (on(value(all, "wsrep_on")) || value(all, "auto_increment_increment") != "1")
    return "several servers may write here (auto_increment_increment " + value(all, "auto_increment_increment") +
           "): the order of one row's events is kept only where one server alone writes it";
  return "";
}

std::optional<int> column_of(const mysql::Result& rows, std::string_view name) {
  for (int i = 0; i < rows.columns(); ++i)
    if (rows.column(i).name == name) return i;
  return std::nullopt;
}

std::string two_servers(const std::string& written, std::string_view read) {
  return "what is read comes from another server (" + std::string(read) + ") than what is written goes to (" + written +
         "): a proxy in between sends queries to replicas, which show events late, and again after they were "
         "published. Let the dsn lead to the primary alone";
}

// Each id is looked up for itself, whatever the planner thinks of the table, and its row locked.
std::string locking_look(const std::string& ids, const char* limit) {
  return "SELECT found.id FROM JSON_TABLE('[" + ids +
         "]', '$[*]' COLUMNS (id BIGINT PATH '$')) AS asked STRAIGHT_JOIN muskrat.outbox AS found "
         "ON found.id = asked.id " +
         limit + "FOR UPDATE NOWAIT";
}

bool locked_by_another(const mysql::SqlError& error) {
  return error.code() == 1205 || error.code() == 3572 || error.code() == 1213;
}

std::string ids_problem(int64_t next, int64_t highest) {
  return "the ids of muskrat.outbox went back (the next is " + std::to_string(next) + ", and " +
         std::to_string(highest) +
         " was read before): the table was emptied by TRUNCATE or made anew, and endpoints would take its events for "
         "older ones than they have. Run `muskrat accept SOURCE` to publish from here under a new epoch";
}

}  // namespace

std::string id_list(std::span<const int64_t> ids) {
  std::string text;
  for (int64_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

std::vector<int64_t> parse_id_list(std::string_view text) {
  std::vector<int64_t> ids;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    int64_t id = 0;
    auto parsed = std::from_chars(at, end, id);
    if (parsed.ec == std::errc()) ids.push_back(id);
    at = parsed.ec == std::errc() ? parsed.ptr : at + 1;
  }
  return ids;
}

Db Db::open(const mysql::Address& address, milliseconds limit, const Stop* stop) {
  auto connection = mysql::Connection::open(address, Deadline::in(limit), stop);
  connection.exec(session_settings(std::chrono::duration_cast<std::chrono::seconds>(limit)), Deadline::in(limit));
  return {std::move(connection), limit};
}

void Db::explain(const mysql::SqlError& error) const {
  const std::string& place = connection_.place();
  switch (error.code()) {
    case 1049:
    case 1146:
    case 1054:
      throw Misconfigured("the schema muskrat is not on the server of " + place +
                              ", or is of another version; run muskrat install as its administrator: " + error.what(),
                          true);
    case 1044:
    case 1142:
    case 1143:
    case 1227:
    case 1370:
      throw Misconfigured("the relay's user may not read and mark the outbox of " + place +
                              "; grant it SELECT and DELETE on muskrat.outbox, SELECT and UPDATE on muskrat.relay, and "
                              "SELECT, INSERT and DELETE on muskrat.history: " +
                              error.what(),
                          true);
    case 1665:  // what to do stands in the error
      throw Misconfigured(place + ": " + error.what(), true);
    default:
      throw Failure(Remedy::reconnect, place + ": " + error.what());
  }
}

// Deadlocks and lock waits are tried again, everything else is explained.
template <typename Act>
auto Db::guarded(Act act) {
  for (int attempt = 1;; ++attempt) {
    try {
      return act();
    } catch (const mysql::SqlError& error) {
      bool again = error.code() == 1213 || error.code() == 1205 || error.code() == 1020;
      if (!again || attempt == tries) explain(error);
      connection_.exec("ROLLBACK", deadline());
    }
  }
}

mysql::Result Db::ask(std::string_view sql, std::span<const mysql::Param> params) {
  return guarded([&] { return connection_.exec(sql, params, deadline()); });
}

Hello Db::hello() {
  mysql::Result rows = ask(variables);
  Variables all;
  for (int i = 0; i < rows.rows(); ++i) all.emplace(rows.text(i, 0), rows.text(i, 1));
  const Identity identity = identity_of(all);
  identity_ = identity.sql;
  server_ = identity.text;
  // All others too, for tables of an older version lack some.
  mysql::Result row = ask("SELECT version, epoch, term, beat, holder, held, server, " + identity_ +
                          ", relay.* FROM muskrat.relay WHERE only_row = 1");
  if (row.rows() != 1) {
    throw Misconfigured("the row of muskrat.relay is gone on the server of " + connection_.place() +
                            "; run muskrat install as its administrator, then muskrat accept",
                        true);
  }
  if (row.text(0, 7) != server_) throw Misconfigured(two_servers(server_, row.text(0, 7)), false);
  beat_ = "beat = beat + 1";
  tells_when_ = column_of(row, "beat_at").has_value();
  if (tells_when_) beat_ += ", beat_at = UTC_TIMESTAMP(6)";
  const std::optional<int> highest_column = column_of(row, "highest_id");
  keeps_highest_ = highest_column.has_value();
  Hello hello;
  hello.version = row.int64(0, 0);
  hello.epoch = row.int64(0, 1);
  hello.lease = {row.int64(0, 2), row.int64(0, 3), std::string(row.text(0, 4))};
  hello.held = parse_id_list(row.text(0, 5));
  hello.read_only = on(value(all, "read_only"));
  hello.server = server_;
  hello.durability = durability_of(all);
  hello.warning = warning_of(all);
  if (!row.null(0, 6) && row.text(0, 6) != hello.server) {
    hello.history_problem =
        "the relay published last on another server (" + std::string(row.text(0, 6)) + "; here " + hello.server +
        "): this one was promoted, restored or copied, and published events may be missing here, or the other may "
        "still publish. Check that, then run `muskrat accept SOURCE` to publish from here under a new epoch";
  }
  const int64_t highest = keeps_highest_ ? row.int64(0, *highest_column) : 0;
  if (highest == 0 || !hello.history_problem.empty()) return hello;
  const int64_t next = next_id();
  if (next <= highest) hello.history_problem = ids_problem(next, highest);
  return hello;
}

// As the server has it now; MySQL's information_schema may say what it was yesterday.
int64_t Db::next_id() {
  const mysql::Result made = ask("SHOW CREATE TABLE muskrat.outbox");
  constexpr std::string_view word = " AUTO_INCREMENT=";
  const std::string_view text = made.rows() > 0 ? made.text(0, 1) : "";
  const size_t at = text.rfind(word);
  int64_t next = 1;  // which goes without saying
  if (at != std::string_view::npos) std::from_chars(text.data() + at + word.size(), text.data() + text.size(), next);
  return next;
}

void Db::require_ids_beyond(int64_t highest) {
  if (!keeps_highest_) return;  // the next session could not tell, and would publish them
  const int64_t next = next_id();
  if (next <= highest) throw Misconfigured(ids_problem(next, highest), false);
}

void Db::require_one_server() {
  const std::string written = server_;
  const mysql::Result row = ask("SELECT " + identity_);
  if (row.text(0, 0) == written) return;
  const Hello now = hello();  // says so, or that the session has come to a server of another history
  throw Misconfigured(now.history_problem.empty() ? two_servers(written, row.text(0, 0)) : now.history_problem, false);
}

void Db::try_privileges() {
  ask("SELECT id FROM muskrat.outbox WHERE id = 0");
  ask("DELETE FROM muskrat.outbox WHERE id = 0");
  ask("UPDATE muskrat.relay SET beat = beat + 1 WHERE only_row = 0");
  ask("DELETE FROM muskrat.history WHERE id = 0");
}

std::optional<int64_t> Db::lease_take(const Hello& seen, const std::string& holder) {
  mysql::Param params[] = {holder, seen.server, seen.lease.term, seen.lease.beat};
  auto taken = ask("UPDATE muskrat.relay SET term = term + 1, " + beat_ +
                       ", holder = ?, server = COALESCE(server, ?) WHERE only_row = 1 AND term = ? AND beat = ?",
                   params);
  if (taken.affected() != 1) return std::nullopt;
  return seen.lease.term + 1;
}

// The row as this relay took it, on the server where it did: a proxy may move a session to another one, which by then
// is a primary of its own. The epoch too, for a dump that is restored in place brings an older term back.
std::string Db::whose(const Claim& claim) const {
  return " WHERE only_row = 1 AND term = " + std::to_string(claim.term) +
         " AND epoch = " + std::to_string(claim.epoch) + " AND server = " + identity_;
}

bool Db::beat(const Claim& claim, const Mark* mark) {
  std::string set = "UPDATE muskrat.relay SET " + beat_;
  if (mark != nullptr) set += ", held = '" + id_list(mark->held) + "'";
  if (mark != nullptr && keeps_highest_)
    set += ", highest_id = GREATEST(highest_id, " + std::to_string(mark->highest) + ")";
  return connection_.exec(set + whose(claim), deadline()).affected() == 1;
}

// Says which of the reasons it was.
void Db::lost(const Claim& claim) {
  const Hello now = hello();
  if (!now.history_problem.empty()) throw Misconfigured(now.history_problem, false);
  const std::string& holder = now.lease.holder;
  std::string what = "the lease was lost: this relay's term is " + std::to_string(claim.term) +
                     ", that of muskrat.relay is " + std::to_string(now.lease.term) + " (" +
                     (holder.empty() ? "nobody holds it" : "held by " + holder.substr(0, holder.find(' '))) + ")";
  if (now.epoch != claim.epoch) what += "; epoch " + std::to_string(now.epoch) + " has begun";
  throw LeaseLost(what);
}

std::optional<int64_t> Db::silent_s() {
  if (!tells_when_) return std::nullopt;
  const auto row = ask("SELECT TIMESTAMPDIFF(SECOND, beat_at, UTC_TIMESTAMP(6)) FROM muskrat.relay WHERE only_row = 1");
  if (row.rows() == 0 || row.null(0, 0)) return std::nullopt;
  return row.int64(0, 0);
}

void Db::lease_beat(const Claim& claim) {
  if (!guarded([&] { return beat(claim, nullptr); })) lost(claim);
}

void Db::lease_release(const Claim& claim) {
  ask("UPDATE muskrat.relay SET beat = beat + 1, holder = ''" + whose(claim));
}

void Db::mark(const Claim& claim, const Mark& mark) {
  guarded([&] { mark_once(claim, mark); });
}

void Db::mark_once(const Claim& claim, const Mark& mark) {
  connection_.exec("START TRANSACTION", deadline());
  // The row stays locked until the commit: nobody takes the lease in between.
  if (!beat(claim, &mark)) {
    connection_.exec("ROLLBACK", deadline());
    lost(claim);
  }
  std::string statements;
  if (!mark.confirmed.empty()) {
    std::string which = " FROM muskrat.outbox WHERE id IN (" + id_list(mark.confirmed) + "); ";
    const char* columns = "id, captured_at, message_id, op, routing_key, ordering_key, body, headers";
    if (mark.keep)
      statements = std::string("REPLACE INTO muskrat.history (") + columns + ", epoch, published_at) SELECT " +
                   columns + ", " + std::to_string(claim.epoch) + ", UTC_TIMESTAMP(6)" + which;
    statements += "DELETE" + which;
  }
  connection_.exec(statements + "COMMIT", deadline());
}

// A row that an open transaction wrote is locked by it, which NOWAIT finds out. A range meets the lock of the next row
// behind it too, and of a small table the planner reads, and locks, every row; a look-up of one id meets no other. So
// short ranges are looked up id by id, all of them by one join.
bool Db::nothing_in(std::span<const IdGaps::Range> ranges) {
  constexpr int64_t short_range = 64;
  std::string ids, statements;
  for (const auto& [first, last] : ranges) {
    if (last - first < short_range) {
      for (int64_t id = first; id <= last; id++) ids += (ids.empty() ? "" : ",") + std::to_string(id);
    } else {
      statements += "; SELECT id FROM muskrat.outbox WHERE id BETWEEN " + std::to_string(first) + " AND " +
                    std::to_string(last) + " LIMIT 1 FOR UPDATE NOWAIT";
    }
  }
  statements = locking_look(ids, "LIMIT 1 ") + statements;
  try {
    const std::vector<mysql::Result> found = connection_.exec_all(statements, {}, deadline());
    return std::all_of(found.begin(), found.end(), [](const mysql::Result& rows) { return rows.rows() == 0; });
  } catch (const mysql::SqlError& error) {
    if (!locked_by_another(error)) explain(error);
    return false;
  }
}

// Proxies that send queries to replicas send a locking one to the primary.
std::vector<int64_t> Db::missing(std::span<const int64_t> ids) {
  std::vector<int64_t> gone;
  if (ids.empty()) return gone;
  std::unordered_set<int64_t> there;
  try {
    const mysql::Result rows = connection_.exec(locking_look(id_list(ids), ""), deadline());
    for (int row = 0; row < rows.rows(); row++) there.insert(rows.int64(row, 0));
  } catch (const mysql::SqlError& error) {
    if (!locked_by_another(error)) explain(error);
    return gone;
  }
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(gone), [&](int64_t id) { return !there.contains(id); });
  return gone;
}

size_t Db::history_trim(milliseconds retention, size_t most) {
  mysql::Param params[] = {retention.count() * 1000, static_cast<int64_t>(most)};
  const auto gone =
      ask("DELETE FROM muskrat.history WHERE published_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND "
          "ORDER BY published_at LIMIT ?",
          params);
  return static_cast<size_t>(gone.affected());
}

int64_t Db::accept(const std::string& note) {
  std::string server = hello().server;
  mysql::Param params[] = {server, note};
  ask(std::string("UPDATE muskrat.relay SET epoch = GREATEST(epoch + 1, UNIX_TIMESTAMP()), term = term + 1, "
                  "beat = beat + 1, holder = '', ") +
          (keeps_highest_ ? "highest_id = 0, " : "") + "server = ?, note = ? WHERE only_row = 1",
      params);
  return hello().epoch;
}

}  // namespace muskrat::mysql_outbox

// Reader: a backlog comes whole and in order of its ids, however they lie among the transactions, and is not looked
// through once for each list. Nothing is handed out that a crash of the server would undo.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "relay/sources/postgres_outbox_reader.hpp"
#include "relay/sources/postgres_outbox_sql.hpp"
#include "test/integration/server.hpp"

using namespace muskrat;
using namespace muskrat::postgres_outbox;
using muskrat::integration::setting;
using muskrat::unit::assert_text;

namespace {

constexpr milliseconds limit{30'000};

struct Outbox {
  pg::Address address{setting("MUSKRAT_TEST_PG_DSN"), "", "muskrat test"};
  pg::Connection db = connect();
  Stop stop;
  Meters meters{"reader-test"};
  int beats = 0;
  milliseconds pause{0};

  Outbox() {
    run("SET client_min_messages = warning; DROP EXTENSION IF EXISTS muskrat CASCADE; DROP SCHEMA IF EXISTS muskrat "
        "CASCADE; CREATE EXTENSION muskrat; DROP TABLE IF EXISTS thing; CREATE TABLE thing (id bigserial, name text)");
    run("SELECT muskrat.attach('thing', 'Shop.Thing', columns => '\"*\"', key => '{name}')");
  }
  ~Outbox() {
    try {
      run("DROP EXTENSION muskrat CASCADE");
    } catch (const Failure&) {  // the next test begins with that
    }
  }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  pg::Connection connect() const { return pg::Connection::open(address, Deadline::in(limit)); }
  pg::Result run(const std::string& sql) { return db.exec(sql, Deadline::in(limit)); }
  std::string snapshot() { return std::string(run("SELECT pg_current_snapshot()").text(0, 0)); }

  // Ids of all that was committed since the snapshot, as a reader with small lists and slices gives them.
  std::vector<int64_t> read(Db& reader_db, const std::string& since, size_t list, uint64_t slice_most) {
    Reader::Settings settings{"shop", 1, 5};
    settings.list_limit = list;
    settings.slice_most = slice_most;
    if (list % 50 == 0) settings.slice_rows = 2;  // nearly each transaction a piece
    const auto beat = [this] {
      beats++;
      std::this_thread::sleep_for(pause);
    };
    Reader reader(reader_db, settings, {since, std::nullopt, 0, {}}, meters, beat, beat);
    std::vector<int64_t> ids;
    for (Reader::Page page; !page.end;) {
      page = reader.next(7, 1 << 20);
      for (const Outgoing& out : page.events) ids.push_back(out.event.seq);
    }
    return ids;
  }
};

int setup(void** state) {
  *state = new Outbox;
  return 0;
}
int teardown(void** state) {
  delete static_cast<Outbox*>(*state);
  return 0;
}
Outbox& outbox_of(void** state) { return *static_cast<Outbox*>(*state); }

std::vector<int64_t> since(Outbox& outbox, const std::string& snapshot) {
  const pg::Result rows =
      outbox.run("SELECT id FROM muskrat.outbox WHERE NOT pg_visible_in_snapshot(xid, '" + snapshot + "') ORDER BY id");
  std::vector<int64_t> ids;
  ids.reserve(static_cast<size_t>(rows.rows()));
  for (int row = 0; row < rows.rows(); row++) ids.push_back(rows.int64(row, 0));
  return ids;
}

// Writers whose transactions overlap: low transaction numbers with high ids, and the other way round.
class Writers {
 public:
  Writers(Outbox& outbox, unsigned seed) : dice_(seed) {
    for (int n = 0; n < 6; n++) sessions_.emplace_back(outbox.connect(), false);
  }
  void act(int times) {
    for (int n = 0; n < times; n++) {
      auto& [session, open] = sessions_[dice_() % sessions_.size()];
      const unsigned choice = dice_() % 10;
      if (!open)
        run(session, "BEGIN; SELECT pg_current_xact_id()");
      else if (choice < 3)  // many in one statement, which lie on few pages
        run(session, "INSERT INTO thing (name) SELECT 'thing' FROM generate_series(1, " +
                         std::to_string(1 + dice_() % 30) + ")");
      else if (choice < 7)
        run(session, "SELECT muskrat.emit('Shop.Order.Place', '1') FROM generate_series(1, " +
                         std::to_string(1 + dice_() % 4) + ")");
      else
        run(session, choice < 9 ? "COMMIT" : "ROLLBACK");
      open = !open || choice < 7;
    }
  }
  void end() {
    for (auto& [session, open] : sessions_)
      if (open) run(session, "COMMIT");
  }

 private:
  static void run(pg::Connection& session, const std::string& sql) { session.exec(sql, Deadline::in(limit)); }

  std::mt19937 dice_;
  std::vector<std::pair<pg::Connection, bool>> sessions_;
};

void test_reader_gives_a_backlog_in_order_of_its_ids(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  for (unsigned seed = 1; seed <= 12; seed++) {
    Writers writers(outbox, seed);
    writers.act(60);
    const std::string from = outbox.snapshot();  // with transactions in progress
    writers.act(600);
    writers.end();
    const auto expected = since(outbox, from);
    assert_true(expected.size() > 300);
    for (const auto& [list, slice] : {std::pair<size_t, uint64_t>{20, 3}, {50, 1000}, {1000, 10}, {1, 1}})
      if (outbox.read(db, from, list, slice) != expected) fail_msg("seed %u, lists of %zu", seed, list);
  }
  assert_true(outbox.beats > 0);
}

// The small read by itself, against the predicate that says what it is to give.
void test_read_new_gives_what_became_visible(void** state) {
  Outbox& outbox = outbox_of(state);
  for (unsigned seed = 50; seed < 62; seed++) {
    Writers writers(outbox, seed);
    writers.act(60);
    const PgSnapshot from = PgSnapshot::parse(outbox.snapshot());
    writers.act(200);
    writers.end();
    const auto expected = since(outbox, from.text);
    assert_true(expected.size() > 50);
    for (const size_t most : {size_t{1}, size_t{7}, expected.size(), size_t{100'000}}) {
      const pg::Result rows = outbox.run("SELECT id FROM muskrat.read_new('" + std::to_string(from.xmax) + "', '" +
                                         from.running + "', " + std::to_string(most) + ", 1000000, 0, 0)");
      assert_int_equal(rows.rows(), std::min(most, expected.size()));
      for (int row = 0; row < rows.rows(); row++) assert_true(rows.int64(row, 0) == expected[static_cast<size_t>(row)]);
    }
  }
}

// A page of the reader's, which was asked to wait so long, while `meanwhile` goes on beside.
size_t events_after_waiting(Outbox& outbox, Reader& reader, milliseconds longest,
                            const std::function<void(pg::Connection&)>& meanwhile) {
  pg::Connection writer = outbox.connect();
  reader.await(longest, microseconds(0));
  assert_true(reader.awaiting());
  std::thread beside([&] { meanwhile(writer); });
  const Reader::Page page = reader.next(100, 1 << 20);
  beside.join();
  assert_false(reader.awaiting());
  return page.events.size();
}

void test_reader_waits_in_the_server_until_events_are_committed(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const auto beat = [] {};
  Reader reader(db, {"shop", 1, 20}, {outbox.snapshot(), std::nullopt, 0, {}}, outbox.meters, beat, beat);
  const auto run = [](pg::Connection& writer, const std::string& sql) { writer.exec(sql, Deadline::in(limit)); };
  const std::string emit = "SELECT muskrat.emit('Shop.Order.Place', '1')";
  constexpr milliseconds long_wait{10'000}, short_wait{300};
  const auto waited = [&](milliseconds longest, const std::function<void(pg::Connection&)>& meanwhile) {
    const auto began = std::chrono::steady_clock::now();
    const size_t events = events_after_waiting(outbox, reader, longest, meanwhile);
    return std::pair(events, std::chrono::steady_clock::now() - began);
  };
  // The first wait says who waits: a writer that looked before that sets no latch.
  assert_int_equal(waited(short_wait, [](pg::Connection&) {}).first, 0);
  // Each of these ends the wait long before its time is over.
  for (int n = 0; n < 20; n++) {
    const auto [events, took] = waited(long_wait, [&](pg::Connection& writer) {
      std::this_thread::sleep_for(milliseconds(n % 4 * 10));
      run(writer, emit);
    });
    assert_int_equal(events, 1);
    assert_true(took < long_wait / 2);
  }
  const auto [two, took_two] = waited(long_wait, [&](pg::Connection& writer) {
    run(writer, "SET synchronous_commit = off");
    run(writer, "BEGIN; " + emit + "; SAVEPOINT s; " + emit + "; COMMIT");
  });
  assert_int_equal(two, 2);
  assert_true(took_two < long_wait / 2);
  // Nothing that is no event does, and nothing that is rolled back.
  const auto [none, took_none] = waited(short_wait, [&](pg::Connection& writer) {
    run(writer, "SELECT pg_current_xact_id()");
    run(writer, "BEGIN; " + emit + "; ROLLBACK");
  });
  assert_int_equal(none, 0);
  assert_true(took_none >= short_wait);
  // What was committed before the wait began is not waited for.
  outbox.run(emit);
  const auto [there, took_there] = waited(long_wait, [](pg::Connection&) {});
  assert_int_equal(there, 1);
  assert_true(took_there < long_wait / 2);
  // A statement that is asked in between waits, and the answer is kept.
  reader.await(short_wait, microseconds(10'000));
  outbox.run(emit);
  db.hello();
  assert_true(reader.answered());
  assert_int_equal(reader.next(100, 1 << 20).events.size(), 1);
}

// Who asks why a segment is not freed is not told of the relay, which reads it all the time.
void test_waiting_reader_is_in_nobodys_way(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const auto beat = [] {};
  Reader reader(db, {"shop", 1, 20}, {outbox.snapshot(), std::nullopt, 0, {}}, outbox.meters, beat, beat);
  const auto count = [&](const std::string& sql) { return outbox.run("SELECT count(*) FROM " + sql).int64(0, 0); };
  reader.await(milliseconds(10'000), microseconds(0));
  const std::string waits = "pg_locks WHERE relation = 'muskrat.outbox_1'::regclass AND mode = 'AccessShareLock'";
  while (count(waits) == 0) std::this_thread::sleep_for(milliseconds(1));
  assert_int_equal(count("muskrat.segment_locks(1)"), 0);
  pg::Connection dump = outbox.connect();
  dump.exec("BEGIN; LOCK TABLE muskrat.outbox_1 IN ACCESS SHARE MODE", Deadline::in(limit));
  assert_int_equal(count("muskrat.segment_locks(1)"), 1);
  dump.exec("COMMIT", Deadline::in(limit));
  outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1')");
  assert_int_equal(reader.next(100, 1 << 20).events.size(), 1);
}

// The cell that says who waits may be anything: a session that is gone, a number that no session has.
void test_writers_are_not_harmed_by_a_bell_of_nobody(void** state) {
  Outbox& outbox = outbox_of(state);
  for (const std::string bell : {"2147483647", "1073741824", "1077936127", "1", "0"}) {
    outbox.run("SELECT setval('muskrat.doorbell', " + bell + ")");
    outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1')");
  }
  assert_int_equal(outbox.run("SELECT count(*) FROM muskrat.outbox").int64(0, 0), 5);
}

// How often a process has waited.
int64_t waits_of(int pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    const std::string name = "voluntary_ctxt_switches:";
    if (line.starts_with(name)) return std::stoll(line.substr(name.size()));
  }
  fail_msg("process %d cannot be looked at", pid);
  return 0;
}

void test_commits_do_not_wake_a_reader_between_its_reads(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const auto beat = [] {};
  Reader reader(db, {"shop", 1, 20}, {outbox.snapshot(), std::nullopt, 0, {}}, outbox.meters, beat, beat);
  reader.await(milliseconds(1), microseconds(0));
  reader.next(100, 1 << 20);
  assert_true(outbox.run("SELECT last_value > 1073741824 FROM muskrat.doorbell").text(0, 0) == "t");
  const int session = db.connection().backend_pid();
  const int64_t before = waits_of(session);
  for (int n = 0; n < 300; n++) outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1')");
  const int64_t times = waits_of(session) - before;
  if (times > 30) fail_msg("woken %lld times by 300 commits", static_cast<long long>(times));
  reader.await(limit, microseconds(0));
  assert_int_equal(reader.next(100, 1 << 20).events.size(), 20);
}

// What a lagging standby does not have yet would be taken for what is not there.
void test_what_lists_events_fails_on_a_standby(void** state) {
  Outbox& outbox = outbox_of(state);
  const std::string from = outbox.snapshot();
  outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1')");
  const std::string snapshot = outbox.snapshot();
  const uint64_t first = PgSnapshot::parse(from).xmax, end = PgSnapshot::parse(snapshot).xmax;
  const std::string firsts = std::to_string(first), ends = std::to_string(end), one = "1", all = "{1,2,3,4,5,6,7,8,9}";
  const std::string list = sql::list(sql::between(first, end), snapshot, 0, INT64_MAX, 100);
  const std::vector<pg::Param> range{snapshot, one, firsts, ends}, ids{all}, none;
  pg::Address there = outbox.address;
  there.dsn = setting("MUSKRAT_TEST_PG_STANDBY_DSN");
  pg::Connection standby = pg::Connection::open(there, Deadline::in(limit));
  const auto ask = [](pg::Connection& db, const std::string& query, const std::vector<pg::Param>& params) {
    return db.exec(query, params, Deadline::in(limit)).rows();
  };
  while (ask(standby, "SELECT 1 FROM pg_extension WHERE extname = 'muskrat'", none) == 0 ||
         ask(standby, "SELECT 1 FROM muskrat.outbox", none) == 0)
    std::this_thread::sleep_for(milliseconds(10));
  for (const auto& [query, params] : {std::pair(list, none), {sql::range(), range}, {sql::locate(), ids}}) {
    assert_int_equal(ask(outbox.db, query, params), 1);
    std::string why;
    try {
      ask(standby, query, params);
    } catch (const Failure& failure) {
      why = failure.what();
    }
    if (why.find("recovery is in progress") == std::string::npos) fail_msg("%s: %s", query.c_str(), why.c_str());
  }
  // Also where it finds nothing: a held event that was not found would be given up.
  const std::string unknown = "{999}";
  bool refused = false;
  try {
    ask(standby, sql::locate(), {unknown});
  } catch (const Failure&) {
    refused = true;
  }
  assert_true(refused);
}

void test_reader_gives_one_large_transaction_in_order(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const std::string from = outbox.snapshot();
  outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1') FROM generate_series(1, 1000)");
  const auto expected = since(outbox, from);
  assert_int_equal(expected.size(), 1000);
  assert_true(outbox.read(db, from, 30, 1) == expected);
}

// Bodies that are asked for ahead: whatever else is asked in between, and when their statement is refused.
void test_reader_hands_out_each_body_whatever_else_its_connection_is_asked(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const std::string from = outbox.snapshot();
  for (int n = 0; n < 3; n++)
    outbox.run("SELECT muskrat.emit('Shop.Order.Place', to_json(i)) FROM generate_series(" + std::to_string(n * 100) +
               ", " + std::to_string(n * 100 + 99) + ") i");
  const std::string all = "SELECT string_agg(body, ' ' ORDER BY id) FROM muskrat.outbox";
  const std::string expected(outbox.run(all).text(0, 0));
  const auto beat = [] {};
  for (const size_t page_events : {1, 3, 40, 1000}) {
    Reader::Settings settings{"shop", 1, 20};
    settings.list_limit = 90;
    Reader reader(db, settings, {from, std::nullopt, 0, {}}, outbox.meters, beat, beat);
    std::string bodies;
    int turn = 0;
    for (Reader::Page page; !page.end;) {
      page = reader.next(page_events, 1 << 20);
      for (const Outgoing& out : page.events) {
        bodies += (bodies.empty() ? "" : " ") + out.event.body;
        assert_text(out.event.source, "shop");
        assert_int_equal(out.event.message_id.size(), 36);
      }
      if (page.events.empty()) continue;
      const int64_t id = page.events.front().event.seq;
      switch (turn++ % 4) {
        case 0:
          db.hello();
          break;
        case 1:
          db.ask("DEALLOCATE ALL", {});
          break;
        case 2: {
          const std::vector<Held::Item> held = {{id, "", "", "", page.events.front().place, 0, {}, false}};
          const auto again = reader.fetch(held, true);
          assert_int_equal(again.size(), 1);
          assert_text(again[0].event.body, page.events.front().event.body);
          const auto seen = reader.fetch(held, false);
          assert_int_equal(seen.size(), 1);
          assert_true(seen[0].event.seq == id && seen[0].event.body.empty());
          break;
        }
        default:
          break;
      }
    }
    assert_text(bodies, expected);
  }
}

void test_reader_looks_a_backlog_through_few_times_however_many_lists_it_makes(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const std::string from = outbox.snapshot();
  constexpr int64_t rows = 3000;
  outbox.run("DO $$ BEGIN FOR n IN 1.." + std::to_string(rows) +
             " LOOP PERFORM muskrat.emit('Shop.Order.Place', '1'); COMMIT; END LOOP; END $$");
  assert_int_equal(outbox.read(db, from, 50, 25).size(), rows);
  db.ask("SELECT pg_stat_force_next_flush()", {});
  const pg::Result looked =
      outbox.run("SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname LIKE 'outbox\\__'");
  assert_true(looked.int64(0, 0) > rows);
  assert_true(looked.int64(0, 0) < 9 * rows / 2);  // 60 lists; each looked through all that was left: 30 * rows
}

// Its filling up would fail the application's writes.
void test_reader_spills_nothing_to_the_servers_disk(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  db.ask("SET work_mem = '64kB'", {});
  const std::string from = outbox.snapshot();
  constexpr int64_t rows = 4000;
  outbox.run("INSERT INTO thing (name) SELECT 'thing' FROM generate_series(1, " + std::to_string(rows) + ")");
  const auto spilled = [&] {
    return outbox.run("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()").int64(0, 0);
  };
  outbox.run("SELECT pg_stat_force_next_flush()");
  const int64_t before = spilled();
  assert_int_equal(outbox.read(db, from, 9999, 1 << 20).size(), rows);
  db.ask("SELECT pg_stat_force_next_flush()", {});
  assert_int_equal(spilled(), before);
}

// The log is flushed by nobody but those who commit.
class StoppedWalWriter {
 public:
  explicit StoppedWalWriter(Outbox& outbox)
      : pid_(static_cast<pid_t>(
            outbox.run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").int64(0, 0))) {
    if (kill(pid_, SIGSTOP) != 0) fail_msg("the WAL writer cannot be stopped");
  }
  ~StoppedWalWriter() { kill(pid_, SIGCONT); }
  StoppedWalWriter(const StoppedWalWriter&) = delete;
  StoppedWalWriter& operator=(const StoppedWalWriter&) = delete;

 private:
  pid_t pid_;
};

const char* const all_flushed = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()";

void test_reader_forces_no_flush_for_what_was_committed_and_flushed(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const StoppedWalWriter stopped(outbox);
  const std::string from = outbox.snapshot();
  outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1') FROM generate_series(1, 3)");
  outbox.run("SELECT pg_logical_emit_message(false, 'test', 'somebody else is writing')");
  assert_false(outbox.run(all_flushed).boolean(0, 0));
  assert_int_equal(outbox.read(db, from, 1000, 1000).size(), 3);
  assert_false(outbox.run(all_flushed).boolean(0, 0));
}

void test_numbers_of_transactions_that_are_long_past_or_never_were(void** state) {
  Outbox& outbox = outbox_of(state);
  assert_true(outbox.run("SELECT muskrat.commit_is_flushed('3')").boolean(0, 0));
  assert_false(outbox.run("SELECT muskrat.commit_is_flushed('99999999999')").boolean(0, 0));
}

void test_reader_flushes_what_is_visible_and_not_flushed(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const StoppedWalWriter stopped(outbox);
  for (const int events : {1, 50}) {  // a small read, and one of a backlog
    const std::string from = outbox.snapshot();
    outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1')");
    outbox.run("SET synchronous_commit = off");
    outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1') FROM generate_series(1, " + std::to_string(events) + ")");
    outbox.run("SET synchronous_commit = on");
    const std::string flushed = "SELECT bool_and(muskrat.commit_is_flushed(xid)) FROM muskrat.outbox";
    assert_false(outbox.run(flushed).boolean(0, 0));
    assert_int_equal(outbox.read(db, from, 1000, 1000).size(), events + 1);
    assert_true(outbox.run(flushed).boolean(0, 0));
  }
}

// Behind a pooler the session's settings are whoever's was there before.
void test_reader_flushes_whatever_the_session_says(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  db.connection().exec("SET synchronous_commit = off", Deadline::in(limit));
  const StoppedWalWriter stopped(outbox);
  const std::string from = outbox.snapshot();
  outbox.run("SET synchronous_commit = off");
  outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1')");
  outbox.run("SET synchronous_commit = on");
  assert_int_equal(outbox.read(db, from, 1000, 1000).size(), 1);
  assert_true(outbox.run("SELECT bool_and(muskrat.commit_is_flushed(xid)) FROM muskrat.outbox").boolean(0, 0));
}

void test_reader_makes_few_slices_of_many_small_transactions(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const std::string from = outbox.snapshot();
  outbox.run(
      "DO $$ BEGIN FOR n IN 1..4000 LOOP PERFORM muskrat.emit('Shop.Order.Place', '1'); COMMIT; END LOOP; END $$");
  outbox.pause = milliseconds(15);  // as where the server is far away
  assert_int_equal(outbox.read(db, from, 999, uint64_t{1} << 32).size(), 4000);
  assert_true(outbox.beats < 100);  // one for each slice of each of the five lists
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_reader_gives_a_backlog_in_order_of_its_ids, setup, teardown),
      checked_with(test_read_new_gives_what_became_visible, setup, teardown),
      checked_with(test_reader_waits_in_the_server_until_events_are_committed, setup, teardown),
      checked_with(test_waiting_reader_is_in_nobodys_way, setup, teardown),
      checked_with(test_writers_are_not_harmed_by_a_bell_of_nobody, setup, teardown),
      checked_with(test_commits_do_not_wake_a_reader_between_its_reads, setup, teardown),
      checked_with(test_what_lists_events_fails_on_a_standby, setup, teardown),
      checked_with(test_reader_gives_one_large_transaction_in_order, setup, teardown),
      checked_with(test_reader_hands_out_each_body_whatever_else_its_connection_is_asked, setup, teardown),
      checked_with(test_reader_looks_a_backlog_through_few_times_however_many_lists_it_makes, setup, teardown),
      checked_with(test_reader_spills_nothing_to_the_servers_disk, setup, teardown),
      checked_with(test_reader_makes_few_slices_of_many_small_transactions, setup, teardown),
      checked_with(test_reader_forces_no_flush_for_what_was_committed_and_flushed, setup, teardown),
      checked_with(test_numbers_of_transactions_that_are_long_past_or_never_were, setup, teardown),
      checked_with(test_reader_flushes_what_is_visible_and_not_flushed, setup, teardown),
      checked_with(test_reader_flushes_whatever_the_session_says, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

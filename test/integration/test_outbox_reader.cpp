// Reader: a backlog comes whole and in order of its ids, however they lie among the transactions, and is not looked
// through once for each list. Nothing is handed out that a crash of the server would undo.
#include <algorithm>
#include <csignal>
#include <random>
#include <thread>

#include "relay/sources/postgres_outbox_reader.hpp"
#include "test/integration/server.hpp"

using namespace muskrat;
using namespace muskrat::postgres_outbox;
using muskrat::integration::setting;

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
        "CASCADE; CREATE EXTENSION muskrat");
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

void test_reader_gives_one_large_transaction_in_order(void** state) {
  Outbox& outbox = outbox_of(state);
  Db db = Db::open(outbox.address, limit, outbox.stop);
  const std::string from = outbox.snapshot();
  outbox.run("SELECT muskrat.emit('Shop.Order.Place', '1') FROM generate_series(1, 1000)");
  const auto expected = since(outbox, from);
  assert_int_equal(expected.size(), 1000);
  assert_true(outbox.read(db, from, 30, 1) == expected);
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
      checked_with(test_reader_gives_one_large_transaction_in_order, setup, teardown),
      checked_with(test_reader_looks_a_backlog_through_few_times_however_many_lists_it_makes, setup, teardown),
      checked_with(test_reader_makes_few_slices_of_many_small_transactions, setup, teardown),
      checked_with(test_reader_forces_no_flush_for_what_was_committed_and_flushed, setup, teardown),
      checked_with(test_numbers_of_transactions_that_are_long_past_or_never_were, setup, teardown),
      checked_with(test_reader_flushes_what_is_visible_and_not_flushed, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// The outbox of MariaDB as its reader asks for it: lists as long as can be had quickly, sizes of nothing that is known,
// gaps by the thousand while others write.
#include <fstream>
#include <numeric>
#include <sstream>

#include "relay/sources/mysql_outbox_reader.hpp"
#include "test/integration/server.hpp"

using namespace muskrat;
using namespace muskrat::mysql_outbox;
using muskrat::integration::setting;
using muskrat::unit::assert_holds;

namespace {

Deadline soon() { return Deadline::in(std::chrono::seconds(20)); }

struct Outbox {
  mysql::Address address{setting("MUSKRAT_TEST_MYSQL_DSN"), "", "muskrat test"};
  mysql::Connection writer = mysql::Connection::open(address, soon());
  Db db = Db::open(address, std::chrono::seconds(20));
  BatchSize length{1000};
  SteadyTime now = std::chrono::steady_clock::now();

  Outbox() {
    std::ifstream file("sql/mysql/outbox.sql");
    std::stringstream schema;
    schema << file.rdbuf();
    run("DROP DATABASE IF EXISTS muskrat");
    run(schema.str());
    db.hello();
  }
  ~Outbox() {
    try {
      run("ROLLBACK; DROP DATABASE muskrat");
    } catch (const Failure&) {  // the next test begins with that
    }
  }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  mysql::Result run(const std::string& sql) { return writer.exec(sql, soon()); }
  void write(int events, int bytes) {
    run("INSERT INTO muskrat.outbox (op, routing_key, ordering_key, body) SELECT 'i', 'Shop.Thing.Insert', seq, "
        "CONCAT('\"', REPEAT('x', " +
        std::to_string(bytes) + "), '\"') FROM seq_1_to_" + std::to_string(events));
  }
  int64_t counted(const std::string& what) {
    return std::stoll(std::string(run("SHOW GLOBAL STATUS LIKE '" + what + "'").text(0, 1)));
  }
  int64_t pages_asked_for() { return counted("Innodb_buffer_pool_read_requests"); }
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

// Ids of what there is to read now.
std::vector<int64_t> read(Reader& reader, SteadyTime now) {
  std::vector<int64_t> ids;
  for (bool end = false; !end;) {
    Reader::Page page = reader.next(100, 8 << 20, now);
    for (const Outgoing& out : page.events) ids.push_back(out.event.seq);
    end = page.end;
  }
  return ids;
}

std::vector<int64_t> from_one_to(int64_t last) {
  std::vector<int64_t> ids(static_cast<size_t>(last));
  std::iota(ids.begin(), ids.end(), 1);
  return ids;
}

void test_reader_lists_few_at_first_and_reads_all_in_order(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(3000, 10);
  Reader reader(outbox.db, {"shop", 1, 1000}, outbox.length);
  assert_int_equal(reader.next(10, 1 << 20, outbox.now).events.size(), 10);
  assert_int_equal(reader.listed(), 54);
  std::vector<int64_t> ids = from_one_to(10);
  for (const int64_t id : read(reader, outbox.now)) ids.push_back(id);
  assert_true(ids == from_one_to(3000));
}

// The first list of the next session is as short as the failure left it.
void test_reader_whose_list_failed_begins_with_half(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(200, 10);
  Reader reader(outbox.db, {"shop", 1, 1000}, outbox.length);
  reader.next(100, 1 << 20, outbox.now);
  outbox.run("RENAME TABLE muskrat.outbox TO muskrat.away");
  bool failed = false;
  try {
    read(reader, outbox.now);
  } catch (const Failure&) {
    failed = true;
  }
  assert_true(failed);
  outbox.run("RENAME TABLE muskrat.away TO muskrat.outbox");
  const size_t half = outbox.length.rows();
  Reader next(outbox.db, {"shop", 1, 1000}, outbox.length);
  next.next(1, 1 << 20, outbox.now);
  assert_true(half < 200);
  assert_int_equal(next.listed(), half - 1);
}

// The server reads a body to say how long it is. Held events are known for ever, and looked at every ten seconds.
void test_reader_asks_no_sizes_of_what_it_knows(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(20, 2 << 20);
  Reader reader(outbox.db, {"shop", 1, 1000}, outbox.length);
  assert_true(read(reader, outbox.now) == from_one_to(20));
  outbox.write(1, 10);
  const int64_t before = outbox.pages_asked_for();
  assert_int_equal(read(reader, outbox.now + std::chrono::minutes(1)).size(), 1);
  assert_true(outbox.pages_asked_for() - before < 1000);  // 20 bodies are 2560 pages
}

// Held events are many of them large, and their sizes are asked for at each start.
void test_reader_locates_held_events_in_as_many_steps_as_it_takes(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(200, 10);
  outbox.run("DELETE FROM muskrat.outbox WHERE id = 100");
  BatchSize length{50};
  Reader reader(outbox.db, {"shop", 1, 1000}, length);
  const int64_t before = outbox.counted("Com_select");
  const std::vector<Held::Item> items = reader.locate(from_one_to(200));
  assert_int_equal(items.size(), 199);
  assert_int_equal(items.front().id, 1);
  assert_int_equal(items.back().id, 200);
  assert_int_equal(items.back().bytes, 12);
  assert_true(outbox.counted("Com_select") - before >= 4);
}

void test_reader_with_many_gaps_reads_all_and_late_ones_first(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.run("SET SESSION auto_increment_increment = 3");
  outbox.write(500, 10);
  Reader reader(outbox.db, {"shop", 1, 1000}, outbox.length);
  assert_int_equal(read(reader, outbox.now).size(), 500);
  assert_true(reader.gaps() > 400);
  outbox.write(5, 10);
  outbox.run(
      "INSERT INTO muskrat.outbox (id, op, routing_key, ordering_key, body) VALUES (300, 'i', 'Shop.Thing.Insert', "
      "'late', '1')");
  const std::vector<int64_t> ids = read(reader, outbox.now);
  assert_int_equal(ids.size(), 6);
  assert_int_equal(ids.front(), 300);
}

std::string trouble_of(Reader& reader, SteadyTime now) {
  try {
    read(reader, now);
  } catch (const Misconfigured& trouble) {
    return trouble.what();
  }
  return "";
}

// Late ids, even such as were given up, are no trouble; a table that begins anew is.
void test_reader_of_ids_that_went_back_says_so_before_it_hands_them_out(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.db.hello();
  outbox.write(100, 10);
  outbox.run("DELETE FROM muskrat.outbox WHERE id < 50");
  Reader reader(outbox.db, {"shop", 1, 1000}, outbox.length);
  assert_int_equal(read(reader, outbox.now).size(), 51);
  const SteadyTime later = outbox.now + std::chrono::minutes(1), latest = later + std::chrono::minutes(1);
  reader.tend(later);
  assert_int_equal(reader.gaps(), 0);
  outbox.run("INSERT INTO muskrat.outbox (id, op, routing_key, ordering_key, body) VALUES (7, 'i', 'A.B.C', '', '1')");
  assert_int_equal(read(reader, later).size(), 1);
  outbox.run("TRUNCATE muskrat.outbox");
  outbox.write(1, 10);
  assert_holds(trouble_of(reader, latest),
               "the ids of muskrat.outbox went back (the next is 2, and 100 was read before)");
}

// With a table as small as an outbox is, and more ranges than the planner likes.
void test_nothing_in_many_ranges_meets_only_the_locks_in_them(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.run("INSERT INTO muskrat.outbox (id, op, routing_key, ordering_key, body) VALUES (1, 'i', 'A.B.C', '', '1')");
  outbox.run("START TRANSACTION");
  outbox.run(
      "INSERT INTO muskrat.outbox (id, op, routing_key, ordering_key, body) VALUES (2999, 'i', 'A.B.C', '', '1'), "
      "(4001, 'i', 'A.B.C', '', '1')");
  std::vector<IdGaps::Range> ranges;
  for (int64_t id = 2; id < 3000; id += 3) ranges.push_back({id, id + 1});  // 2, 3, 5, 6, … 2999
  assert_false(outbox.db.nothing_in(ranges));
  ranges.pop_back();
  assert_true(outbox.db.nothing_in(ranges));
  outbox.run("ROLLBACK");
  assert_true(outbox.db.nothing_in(std::vector<IdGaps::Range>{{2, 5000}}));
}

// What an open transaction deletes may come back.
void test_missing_are_those_whose_deletion_is_committed(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(5, 10);
  assert_true(outbox.db.missing(std::vector<int64_t>{}).empty());
  assert_true(outbox.db.missing(from_one_to(7)) == (std::vector<int64_t>{6, 7}));
  outbox.run("START TRANSACTION; DELETE FROM muskrat.outbox WHERE id IN (2, 5)");
  assert_true(outbox.db.missing(std::vector<int64_t>{1, 2, 3}).empty());
  assert_true(outbox.db.missing(std::vector<int64_t>{1, 3, 6}) == std::vector<int64_t>{6});
  outbox.run("COMMIT");
  assert_true(outbox.db.missing(from_one_to(5)) == (std::vector<int64_t>{2, 5}));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_reader_lists_few_at_first_and_reads_all_in_order, setup, teardown),
      checked_with(test_reader_whose_list_failed_begins_with_half, setup, teardown),
      checked_with(test_reader_asks_no_sizes_of_what_it_knows, setup, teardown),
      checked_with(test_reader_locates_held_events_in_as_many_steps_as_it_takes, setup, teardown),
      checked_with(test_reader_with_many_gaps_reads_all_and_late_ones_first, setup, teardown),
      checked_with(test_reader_of_ids_that_went_back_says_so_before_it_hands_them_out, setup, teardown),
      checked_with(test_nothing_in_many_ranges_meets_only_the_locks_in_them, setup, teardown),
      checked_with(test_missing_are_those_whose_deletion_is_committed, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

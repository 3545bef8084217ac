// The mysql endpoint against MariaDB: what test_postgres_endpoint.cpp asks of the other, and what differs.
#include <functional>

#include "common/mysql.hpp"
#include "test/integration/server.hpp"
#include "test/unit/endpoint_fixture.hpp"

namespace muskrat {
namespace {

using Fate = Outcome::Fate;
using unit::event;

// The server's address with a database of our own in it.
std::string dsn() {
  std::string text = integration::setting("MUSKRAT_TEST_MYSQL_DSN");
  return text.substr(0, text.rfind('/')) + "/mk_endpoint";
}

struct Bench : unit::Made {
  std::optional<mysql::Connection> db;

  void run(const std::string& sql) { db->exec(sql, unit::soon()); }
  // Rows as "a|b;c|d".
  std::string look(const std::string& sql) {
    const mysql::Result rows = db->exec(sql, unit::soon());
    std::string text;
    for (int row = 0; row < rows.rows(); ++row) {
      text += row > 0 ? ";" : "";
      for (int column = 0; column < rows.columns(); ++column)
        text += (column > 0 ? "|" : "") + (rows.null(row, column) ? "NULL" : std::string(rows.text(row, column)));
    }
    return text;
  }
  void open(const std::string& routes) {
    make("mysql", "    dsn: \"" + dsn() + "\"\n    timeout: 5s\n    routes: " + routes + "\n");
  }
  std::string fates(const std::vector<Event>& events) {
    constexpr const char* letters = "drstpx";  // done repeated superseded reTry park dead
    std::string text;
    for (const Outcome& outcome : deliver(events)) {
      text.push_back(letters[static_cast<size_t>(outcome.fate)]);
      reasons += outcome.reason.empty() ? "" : outcome.reason + "\n";
    }
    return text;
  }
  std::string reasons;
};

Bench& bench_of(void** state) { return *static_cast<Bench*>(*state); }

int setup(void** state) {
  auto* bench = new Bench;
  *state = bench;
  bench->db = mysql::Connection::open({integration::setting("MUSKRAT_TEST_MYSQL_DSN"), "", "test"}, unit::soon());
  bench->run(
      "DROP DATABASE IF EXISTS mk_endpoint; CREATE DATABASE mk_endpoint CHARACTER SET utf8mb4; USE mk_endpoint; CREATE "
      "TABLE c "
      "(id BIGINT PRIMARY KEY, email VARCHAR(20) NOT NULL, volume INT CHECK (volume <> 13), note TEXT DEFAULT "
      "('kept')); "
      "CREATE TABLE log (n BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT, email TEXT)");
  return 0;
}
int teardown(void** state) {
  Bench& bench = bench_of(state);
  bench.endpoint.reset();
  bench.run("DROP DATABASE mk_endpoint");
  delete &bench;
  return 0;
}

const char* mirror = "[{table: c, key: [id], columns: [id, email, volume]}]";
const char* all = "SELECT id, email, volume FROM c ORDER BY id";

std::string row(int64_t id, const std::string& email, int volume) {
  return "{\"id\":" + std::to_string(id) + ",\"email\":\"" + email + "\",\"volume\":" + std::to_string(volume) + "}";
}

void test_mysql_upserts_and_deletes_by_key(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 5)), event(2, 2, row(2, "b", 6))}), "dd");
  unit::assert_text(bench.fates({event(1, 3, row(1, "a2", 7), Op::update), event(2, 4, row(2, "b", 6), Op::remove),
                                 event(3, 5, row(3, "c", 8), Op::backfill)}),
                    "ddd");
  unit::assert_text(bench.look(all), "1|a2|7;3|c|8");
  unit::assert_text(bench.look("SELECT DISTINCT note FROM c"), "kept");
}

void test_mysql_repeat_and_older_event_change_nothing(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 10, row(1, "new", 1))});
  unit::assert_text(bench.fates({event(1, 10, row(1, "new", 1))}), "r");
  unit::assert_text(bench.fates({event(1, 9, row(1, "old", 1), Op::update)}), "s");
  unit::assert_text(bench.look(all), "1|new|1");
}

void test_mysql_higher_epoch_wins_over_higher_seq(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 1000, row(1, "old", 1))});
  Event after = event(1, 3, row(1, "restored", 1), Op::update);
  after.epoch = 2;
  unit::assert_text(bench.fates({after}), "d");
  unit::assert_text(bench.look(all), "1|restored|1");
}

void test_mysql_late_event_does_not_resurrect_a_deleted_row(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "a", 1))});
  bench.fates({event(1, 5, row(1, "a", 1), Op::remove)});
  unit::assert_text(bench.fates({event(1, 4, row(1, "late", 1), Op::update)}), "s");
  unit::assert_text(bench.look(all), "");
  unit::assert_text(bench.fates({event(1, 6, row(1, "anew", 1))}), "d");
  unit::assert_text(bench.look(all), "1|anew|1");
}

// TRAPS of a guard that is too narrow or too wide: another object's equal key, another source's.
void test_mysql_guards_of_other_objects_and_sources_are_apart(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 100, row(1, "a", 1))});
  Event object = event(1, 2, row(1, "object", 2));
  object.routing_key = "Frontend.Account.Signup";
  Event source = event(1, 3, row(1, "source", 3));
  source.source = "other";
  unit::assert_text(bench.fates({object}), "d");
  unit::assert_text(bench.fates({source}), "d");
  unit::assert_text(bench.look(all), "1|source|3");
}

void test_mysql_two_events_of_one_row_in_a_batch_end_with_the_newer(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  unit::assert_text(bench.fates({event(1, 2, row(1, "newer", 2)), event(1, 1, row(1, "older", 1))}), "ds");
  unit::assert_text(bench.look(all), "1|newer|2");
}

void test_mysql_omitted_field_is_left_alone(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "stays", 1))});
  Event event_without = event(1, 2, "{\"id\":1,\"volume\":2}", Op::update);
  event_without.omitted = "[\"email\"]";
  unit::assert_text(bench.fates({event_without}), "d");
  unit::assert_text(bench.look(all), "1|stays|2");
}

void test_mysql_append_takes_each_message_once(void** state) {
  Bench& bench = bench_of(state);
  bench.open("[{table: log, mode: append, columns: [id, email]}]");
  const std::vector<Event> events{event(1, 1, row(1, "a", 1)), event(1, 2, row(1, "b", 1), Op::remove)};
  unit::assert_text(bench.fates(events), "dd");
  unit::assert_text(bench.fates(events), "rr");
  unit::assert_text(bench.fates({events[0], events[0], event(1, 3, row(1, "c", 1))}), "rrd");
  unit::assert_text(bench.look("SELECT email FROM log ORDER BY n"), "a;b;c");
}

void test_mysql_several_routes_share_one_transaction(void** state) {
  Bench& bench = bench_of(state);
  bench.open(
      "[{table: c, key: [id], columns: [id, email, volume]}, {table: log, mode: append, columns: "
      "[id, email]}]");
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1)), event(2, 2, row(2, "b", 13))}), "dx");
  unit::assert_text(bench.look("SELECT id FROM log"), "1");
}

void test_mysql_delete_is_a_tombstone_for_every_route_of_the_table(void** state) {
  Bench& bench = bench_of(state);
  bench.open(
      "[{name: signup, on: ['Frontend.Customer.Signup', 'Frontend.Customer.Cancel'], table: c, key: [id], "
      "columns: "
      "[id, email]}, {name: plan, on: ['Frontend.Customer.Plan'], table: c, key: [id], columns: [id, email, "
      "volume]}]");
  bench.fates({event(1, 1, row(1, "a", 1))});
  bench.fates({event(1, 5, row(1, "a", 1), Op::remove)});
  Event late = event(1, 3, row(1, "late", 9), Op::update);
  late.routing_key = "Frontend.Customer.Plan";
  unit::assert_text(bench.fates({late}), "s");
  unit::assert_text(bench.look(all), "");
}

void test_mysql_attachments_do_not_supersede_one_another(void** state) {
  Bench& bench = bench_of(state);
  bench.open(
      "[{name: signup, on: ['Frontend.Customer.Signup'], table: c, key: [id], columns: [id, email]}, "
      "{name: plan, on: ['Frontend.Customer.Plan'], table: c, key: [id], columns: [id, email, volume]}]");
  Event plan = event(1, 9, row(1, "a", 9), Op::update);
  plan.routing_key = "Frontend.Customer.Plan";
  bench.fates({plan});
  unit::assert_text(bench.fates({event(1, 3, row(1, "signed", 1))}), "d");
  unit::assert_text(bench.look(all), "1|signed|9");
}

void test_mysql_truncate_empties_and_older_events_stay_out(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "a", 1)), event(2, 2, row(2, "b", 1))});
  const Event truncate = event(0, 5, "{}", Op::truncate);
  unit::assert_text(bench.fates({truncate}), "d");
  unit::assert_text(bench.look(all), "");
  unit::assert_text(bench.fates({event(3, 4, row(3, "late", 1)), event(4, 6, row(4, "after", 1))}), "sd");
  unit::assert_text(bench.fates({truncate}), "r");
  unit::assert_text(bench.look(all), "4|after|1");
}

void test_mysql_truncate_that_comes_late_is_a_dead_letter(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 9, row(1, "newer", 1))});
  unit::assert_text(bench.fates({event(0, 5, "{}", Op::truncate)}), "x");
  unit::assert_text(bench.look(all), "1|newer|1");
}

void test_mysql_foreign_event_without_sequence_is_upserted_unguarded(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  Event foreign = event(1, 0, row(1, "a", 1), Op::emit);
  foreign.epoch = 0;
  foreign.source.clear();
  unit::assert_text(bench.fates({foreign}), "d");
  foreign.body = row(1, "b", 2);
  unit::assert_text(bench.fates({foreign}), "d");
  unit::assert_text(bench.look(all), "1|b|2");
}

void test_mysql_numeric_keys_that_are_equal_have_one_guard(void** state) {
  Bench& bench = bench_of(state);
  bench.run("CREATE TABLE rate (k DECIMAL(10,2) PRIMARY KEY, v TEXT)");
  bench.open("[{table: rate, key: [k], columns: [k, v]}]");
  unit::assert_text(bench.fates({event(1, 2, R"({"k":1.00,"v":"newer"})")}), "d");
  unit::assert_text(bench.fates({event(1, 1, R"({"k":1.0,"v":"older"})")}), "s");
  unit::assert_text(bench.fates({event(1, 1, R"({"k":1,"v":"older"})")}), "s");
  unit::assert_text(bench.fates({event(10, 1, R"({"k":10,"v":"ten"})"), event(100, 1, R"({"k":100.50,"v":"x"})")}),
                    "dd");
  unit::assert_text(bench.look("SELECT v FROM rate ORDER BY k"), "newer;ten;x");
}

void test_mysql_truncate_counts_for_every_route_of_the_table(void** state) {
  Bench& bench = bench_of(state);
  bench.open(
      "[{name: signup, on: ['Frontend.Customer.Signup'], table: c, key: [id], columns: [id, email]}, "
      "{name: plan, on: ['Frontend.Customer.Truncate'], table: c, key: [id], columns: [id, email, volume]}]");
  bench.fates({event(1, 1, row(1, "a", 1))});
  unit::assert_text(bench.fates({event(0, 5, "{}", Op::truncate)}), "d");
  unit::assert_text(bench.fates({event(1, 4, row(1, "late", 1))}), "s");
  bench.fates({event(1, 9, row(1, "newer", 1))});
  unit::assert_text(bench.fates({event(0, 8, "{}", Op::truncate)}), "x");
  unit::assert_text(bench.look("SELECT id, email FROM c"), "1|newer");
}

void test_mysql_bad_rows_fail_alone_and_say_which_column(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  std::vector<Event> events;
  for (int64_t id = 1; id <= 40; ++id) events.push_back(event(id, id, row(id, "e", 1)));
  events[6].body = row(7, "e", 13);
  events[20].body = "{\"id\":21,\"email\":\"secret\",\"volume\":\"not a number\"}";
  events[30].body = row(31, std::string(30, 'x'), 1);
  events[35].body = "{\"id\":36,\"email\":null,\"volume\":1}";
  unit::assert_text(bench.fates(events), "ddddddxdddddddddddddxdddddddddxddddxdddd");
  unit::assert_text(bench.look("SELECT count(*) FROM c"), "36");
  unit::assert_holds(bench.reasons, "4025");
  unit::assert_holds(bench.reasons, "column volume");
  unit::assert_holds(bench.reasons, "1406");
  unit::assert_holds(bench.reasons, "1048");
  unit::assert_lacks(bench.reasons, "secret");
  unit::assert_lacks(bench.reasons, "not a number");
}

void test_mysql_unique_value_of_another_row_is_not_written_over(void** state) {
  Bench& bench = bench_of(state);
  bench.run("CREATE UNIQUE INDEX one_email ON c (email)");
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "a", 1))});
  unit::assert_text(bench.fates({event(2, 3, row(2, "a", 7))}), "t");
  unit::assert_holds(bench.reasons, "1062");
  unit::assert_text(bench.look(all), "1|a|1");
  bench.fates({event(1, 2, row(1, "a", 1), Op::remove)});
  unit::assert_text(bench.fates({event(2, 3, row(2, "a", 7))}), "d");
  unit::assert_text(bench.look(all), "2|a|7");
}

void test_mysql_missing_parent_is_tried_again(void** state) {
  Bench& bench = bench_of(state);
  bench.run("CREATE TABLE child (id BIGINT PRIMARY KEY, parent BIGINT, FOREIGN KEY (parent) REFERENCES c (id))");
  bench.open("[{table: child, key: [id], columns: [id, parent]}]");
  const Event child = event(1, 1, R"({"id":1,"parent":5})");
  unit::assert_text(bench.fates({child}), "t");
  bench.run("INSERT INTO c VALUES (5, 'p', 1, 'x')");
  unit::assert_text(bench.fates({child}), "d");
}

void test_mysql_values_reach_columns_of_every_type(void** state) {
  Bench& bench = bench_of(state);
  bench.run(
      "CREATE TABLE types (id CHAR(36) PRIMARY KEY, n DECIMAL(30,5), f DOUBLE, b TINYINT(1), t DATETIME(6), z "
      "TIMESTAMP(3) "
      "NULL, d DATE, j JSON, js JSON, y BLOB, txt TEXT, big BIGINT UNSIGNED)");
  bench.open("[{table: types, key: [id], columns: [id, n, f, b, t, z, d, j, js, y, txt, big]}]");
  unit::assert_text(
      bench.fates({event(
          1, 1,
          R"j({"id":"6f9619ff","n":12345678901234567890.12345,"f":1.5,"b":true,"t":"2026-01-02T03:04:05.678901Z",)j"
          R"j("z":"2026-01-01T00:30:00.250+01:00","d":"2026-01-02","j":{"k":[1,2.50]},"js":"bare \"text\" \\ it's",)j"
          R"j("y":"3q2+7w==","txt":{"z":1},"big":18446744073709551615})j")}),
      "d");
  unit::assert_text(bench.look("SELECT id, n, f, b, t, z, d, j, js, HEX(y), txt, big FROM types"),
                    R"j(6f9619ff|12345678901234567890.12345|1.5|1|2026-01-02 03:04:05.678901|2025-12-31 23:30:00.250|)j"
                    R"j(2026-01-02|{"k":[1,2.50]}|"bare \"text\" \\ it's"|DEADBEEF|{"z":1}|18446744073709551615)j");
  unit::assert_text(bench.fates({event(2, 2, R"({"id":"b","y":"no base64!"})"), event(3, 3, R"({"id":"c","d":[1]})")}),
                    "xx");
  unit::assert_holds(bench.reasons, "column y: not base64");
  unit::assert_holds(bench.reasons, "column d: a JSON array");
}

void test_mysql_names_with_quotes_and_keys_of_two_columns(void** state) {
  Bench& bench = bench_of(state);
  bench.run("CREATE TABLE `Odd ``na'me` (`Region X` VARCHAR(20), `from` INT, v TEXT, UNIQUE (`from`, `Region X`))");
  bench.open(
      "[{table: \"Odd `na'me\", key: ['Region X', from], columns: [{to: 'Region X', from: r}, {to: from, from: f}, "
      "v]}]");
  unit::assert_text(
      bench.fates({event(1, 1, R"({"r":"EU","f":1,"v":"a"})"), event(2, 2, R"({"r":"EU","f":2,"v":"b"})")}), "dd");
  unit::assert_text(bench.fates({event(1, 3, R"({"r":"EU","f":1,"v":"c"})", Op::update),
                                 event(2, 4, R"({"r":"EU","f":2,"v":"b"})", Op::remove)}),
                    "dd");
  unit::assert_text(bench.look("SELECT * FROM `Odd ``na'me`"), "EU|1|c");
}

std::string failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return (failure.remedy() == Remedy::reconnect ? "reconnect: " : "stop: ") + std::string(failure.what());
  }
  return "none";
}

void test_mysql_missing_table_column_index_and_engine_are_explained(void** state) {
  Bench& bench = bench_of(state);
  const auto open = [&](const std::string& routes) { return failure_of([&] { bench.open(routes); }); };
  unit::assert_holds(open("[{table: nowhere, key: [id], columns: [id]}]"), "reconnect: table nowhere does not exist");
  unit::assert_holds(open("[{table: c, key: [id], columns: [id, emial]}]"), "reconnect: table c has no column emial");
  unit::assert_holds(open("[{table: c, key: [email], columns: [id, email]}]"), "ALTER TABLE c ADD UNIQUE (email)");
  bench.run("CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM");
  unit::assert_holds(open("[{table: old, key: [id], columns: [id]}]"), "is not InnoDB");
}

void test_mysql_table_that_goes_away_is_the_endpoints_trouble(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.run("RENAME TABLE c TO gone");
  unit::assert_holds(failure_of([&] { bench.fates({event(1, 1, row(1, "a", 1))}); }), "reconnect:");
  bench.run("RENAME TABLE gone TO c");
  bench.endpoint->connect(unit::soon());
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1))}), "d");
}

}  // namespace
}  // namespace muskrat

int main() {
  using namespace muskrat;
  const CMUnitTest tests[] = {
      checked_with(test_mysql_upserts_and_deletes_by_key, setup, teardown),
      checked_with(test_mysql_repeat_and_older_event_change_nothing, setup, teardown),
      checked_with(test_mysql_higher_epoch_wins_over_higher_seq, setup, teardown),
      checked_with(test_mysql_late_event_does_not_resurrect_a_deleted_row, setup, teardown),
      checked_with(test_mysql_guards_of_other_objects_and_sources_are_apart, setup, teardown),
      checked_with(test_mysql_two_events_of_one_row_in_a_batch_end_with_the_newer, setup, teardown),
      checked_with(test_mysql_omitted_field_is_left_alone, setup, teardown),
      checked_with(test_mysql_append_takes_each_message_once, setup, teardown),
      checked_with(test_mysql_several_routes_share_one_transaction, setup, teardown),
      checked_with(test_mysql_delete_is_a_tombstone_for_every_route_of_the_table, setup, teardown),
      checked_with(test_mysql_attachments_do_not_supersede_one_another, setup, teardown),
      checked_with(test_mysql_truncate_empties_and_older_events_stay_out, setup, teardown),
      checked_with(test_mysql_truncate_that_comes_late_is_a_dead_letter, setup, teardown),
      checked_with(test_mysql_foreign_event_without_sequence_is_upserted_unguarded, setup, teardown),
      checked_with(test_mysql_numeric_keys_that_are_equal_have_one_guard, setup, teardown),
      checked_with(test_mysql_truncate_counts_for_every_route_of_the_table, setup, teardown),
      checked_with(test_mysql_bad_rows_fail_alone_and_say_which_column, setup, teardown),
      checked_with(test_mysql_unique_value_of_another_row_is_not_written_over, setup, teardown),
      checked_with(test_mysql_missing_parent_is_tried_again, setup, teardown),
      checked_with(test_mysql_values_reach_columns_of_every_type, setup, teardown),
      checked_with(test_mysql_names_with_quotes_and_keys_of_two_columns, setup, teardown),
      checked_with(test_mysql_missing_table_column_index_and_engine_are_explained, setup, teardown),
      checked_with(test_mysql_table_that_goes_away_is_the_endpoints_trouble, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

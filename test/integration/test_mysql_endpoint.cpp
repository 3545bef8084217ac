// The mysql endpoint against MariaDB: what all endpoints into tables promise, and what is its own.
#include <functional>

#include "common/mysql.hpp"
#include "test/integration/table_endpoint.hpp"

namespace muskrat {
namespace {

using integration::all;
using integration::bench_of;
using integration::failure_of;
using integration::mirror;
using integration::row;
using unit::event;

struct Mysql {
  static constexpr const char* kind = "mysql";
  using Connection = mysql::Connection;
  static std::string dsn() { return integration::setting("MUSKRAT_TEST_MYSQL_DSN"); }
  // The server's address with a database of our own in it.
  static std::string options() { return "    dsn: \"" + dsn().substr(0, dsn().rfind('/')) + "/mk_endpoint\"\n"; }
  static constexpr const char* tables_made =
      "DROP DATABASE IF EXISTS mk_endpoint; CREATE DATABASE mk_endpoint CHARACTER SET utf8mb4; USE mk_endpoint; "
      "CREATE TABLE c (id BIGINT PRIMARY KEY, email VARCHAR(20) NOT NULL, volume INT CHECK (volume <> 13), "
      "note TEXT DEFAULT ('kept')); CREATE TABLE log (n BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT, email TEXT)";
  static constexpr const char* tables_dropped = "DROP DATABASE mk_endpoint";
};

void bad_rows_fail_alone_and_say_which_column(void** state) {
  auto& bench = bench_of<Mysql>(state);
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

void unique_value_of_another_row_is_not_written_over(void** state) {
  auto& bench = bench_of<Mysql>(state);
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

void missing_parent_is_tried_again(void** state) {
  auto& bench = bench_of<Mysql>(state);
  bench.run("CREATE TABLE child (id BIGINT PRIMARY KEY, parent BIGINT, FOREIGN KEY (parent) REFERENCES c (id))");
  bench.open("[{table: child, key: [id], columns: [id, parent]}]");
  const Event child = event(1, 1, R"({"id":1,"parent":5})");
  unit::assert_text(bench.fates({child}), "t");
  bench.run("INSERT INTO c VALUES (5, 'p', 1, 'x')");
  unit::assert_text(bench.fates({child}), "d");
}

// As MySQL says it to a user who may not look at the parent's table.
void missing_parent_that_may_not_be_looked_at_is_tried_again(void** state) {
  auto& bench = bench_of<Mysql>(state);
  bench.open(mirror);
  for (const char* number : {"1216", "1217"}) {
    bench.run(std::string("CREATE TRIGGER parents BEFORE INSERT ON c FOR EACH ROW SIGNAL SQLSTATE '23000' SET "
                          "MYSQL_ERRNO = ") +
              number);
    unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1))}), "t");
    bench.run("DROP TRIGGER parents");
  }
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1))}), "d");
}

void values_reach_columns_of_every_type(void** state) {
  auto& bench = bench_of<Mysql>(state);
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

// Nothing is made of them: not the day after, and not another era.
void times_that_are_none_are_refused(void** state) {
  auto& bench = bench_of<Mysql>(state);
  bench.run("CREATE TABLE times (id INT PRIMARY KEY, t DATETIME(6), z TIMESTAMP NULL)");
  bench.open("[{table: times, key: [id], columns: [id, t, z]}]");
  std::vector<Event> events;
  for (const char* text : {"2024-02-30T10:00:00Z", "2026-01-01T25:61:00Z", "0044-03-15T00:00:00+00:00 BC", "infinity",
                           "2026-01-01T00:00:00 Europe/Berlin", "1890-01-01T00:00:00+00:53:28"}) {
    const auto id = static_cast<int64_t>(events.size() + 1);
    events.push_back(event(id, id, "{\"id\":" + std::to_string(id) + ",\"t\":\"" + text + "\"}"));
  }
  unit::assert_text(bench.fates(events), "xxxxxd");
  unit::assert_text(bench.look("SELECT id, t FROM times"), "6|1889-12-31 23:06:32.000000");
}

void names_with_quotes_and_keys_of_two_columns(void** state) {
  auto& bench = bench_of<Mysql>(state);
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

void missing_table_column_index_and_engine_are_explained(void** state) {
  auto& bench = bench_of<Mysql>(state);
  const auto open = [&](const std::string& routes) { return failure_of([&] { bench.open(routes); }); };
  unit::assert_holds(open("[{table: nowhere, key: [id], columns: [id]}]"), "reconnect: table nowhere does not exist");
  unit::assert_holds(open("[{table: c, key: [id], columns: [id, emial]}]"), "reconnect: table c has no column emial");
  unit::assert_holds(open("[{table: c, key: [email], columns: [id, email]}]"), "ALTER TABLE c ADD UNIQUE (email)");
  bench.run("CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM");
  unit::assert_holds(open("[{table: old, key: [id], columns: [id]}]"), "is not InnoDB");
}

void table_that_goes_away_is_the_endpoints_trouble(void** state) {
  auto& bench = bench_of<Mysql>(state);
  bench.open(mirror);
  bench.run("RENAME TABLE c TO gone");
  unit::assert_holds(failure_of([&] { bench.fates({event(1, 1, row(1, "a", 1))}); }), "reconnect:");
  bench.run("RENAME TABLE gone TO c");
  bench.endpoint->connect(unit::soon());
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1))}), "d");
}

// What is wrong with the table says nothing of the events: they wait, and none is a dead letter.
void trigger_or_column_that_cannot_work_is_the_endpoints_trouble(void** state) {
  auto& bench = bench_of<Mysql>(state);
  bench.open(mirror);
  const std::vector<Event> events{event(1, 1, row(1, "a", 1)), event(2, 2, row(2, "b", 2))};
  bench.run(
      "CREATE DEFINER = 'mk_gone'@'localhost' TRIGGER watch BEFORE INSERT ON c FOR EACH ROW SET NEW.note = 'seen'");
  std::string why = failure_of([&] { bench.fates(events); });
  unit::assert_holds(why, "reconnect: ");
  unit::assert_holds(why, "definer ('mk_gone'@'localhost') does not exist [1449");
  bench.run("DROP TRIGGER watch; ALTER TABLE c DROP COLUMN volume, ADD COLUMN volume INT AS (id + 1)");
  bench.endpoint->connect(unit::soon());
  why = failure_of([&] { bench.fates(events); });
  unit::assert_holds(why, "reconnect: ");
  unit::assert_holds(why, "generated column 'volume'");
  bench.run("ALTER TABLE c DROP COLUMN volume, ADD COLUMN volume INT");
  bench.endpoint->connect(unit::soon());
  unit::assert_text(bench.fates(events), "dd");
}

// Triggers may give their errors any number: among those of MySQL beyond 6000, and of the server's own below 1000.
void error_of_any_number_that_a_trigger_signals_is_the_events(void** state) {
  auto& bench = bench_of<Mysql>(state);
  bench.open(mirror);
  bench.run(
      "CREATE TRIGGER rules BEFORE INSERT ON c FOR EACH ROW BEGIN "
      "IF NEW.id = 2 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30001; END IF; "
      "IF NEW.id = 4 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 77; END IF; END");
  std::vector<Event> events;
  for (int64_t id = 1; id <= 5; ++id) events.push_back(event(id, id, row(id, "e", 1)));
  unit::assert_text(bench.fates(events), "dxdxd");
  unit::assert_holds(bench.reasons, "error 30001 SQLSTATE 45000");
}

// As where the server's disk for temporary files is full, or its memory at an end.
void error_of_the_servers_files_and_memory_is_the_endpoints_trouble(void** state) {
  auto& bench = bench_of<Mysql>(state);
  bench.open(mirror);
  const std::vector<Event> events{event(1, 1, row(1, "a", 1)), event(2, 2, row(2, "b", 2))};
  bench.run(
      "CREATE TRIGGER disk BEFORE INSERT ON c FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 3, "
      "MESSAGE_TEXT = 'Error writing file'");
  unit::assert_holds(failure_of([&] { bench.fates(events); }), "reconnect: Error writing file [3, SQLSTATE HY000]");
  bench.run("DROP TRIGGER disk");
  bench.endpoint->connect(unit::soon());
  unit::assert_text(bench.fates(events), "dd");
}

}  // namespace
}  // namespace muskrat

int main() {
  using namespace muskrat;
  return integration::run<Mysql>({
      integration::test_of<Mysql, bad_rows_fail_alone_and_say_which_column>("bad_rows_fail_alone_and_say_which_column"),
      integration::test_of<Mysql, unique_value_of_another_row_is_not_written_over>(
          "unique_value_of_another_row_is_not_written_over"),
      integration::test_of<Mysql, missing_parent_is_tried_again>("missing_parent_is_tried_again"),
      integration::test_of<Mysql, missing_parent_that_may_not_be_looked_at_is_tried_again>(
          "missing_parent_that_may_not_be_looked_at_is_tried_again"),
      integration::test_of<Mysql, values_reach_columns_of_every_type>("values_reach_columns_of_every_type"),
      integration::test_of<Mysql, times_that_are_none_are_refused>("times_that_are_none_are_refused"),
      integration::test_of<Mysql, names_with_quotes_and_keys_of_two_columns>(
          "names_with_quotes_and_keys_of_two_columns"),
      integration::test_of<Mysql, missing_table_column_index_and_engine_are_explained>(
          "missing_table_column_index_and_engine_are_explained"),
      integration::test_of<Mysql, table_that_goes_away_is_the_endpoints_trouble>(
          "table_that_goes_away_is_the_endpoints_trouble"),
      integration::test_of<Mysql, trigger_or_column_that_cannot_work_is_the_endpoints_trouble>(
          "trigger_or_column_that_cannot_work_is_the_endpoints_trouble"),
      integration::test_of<Mysql, error_of_any_number_that_a_trigger_signals_is_the_events>(
          "error_of_any_number_that_a_trigger_signals_is_the_events"),
      integration::test_of<Mysql, error_of_the_servers_files_and_memory_is_the_endpoints_trouble>(
          "error_of_the_servers_files_and_memory_is_the_endpoints_trouble"),
  });
}

// The postgres endpoint against a server: what all endpoints into tables promise, and what is its own.
#include <functional>
#include <set>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/pg.hpp"
#include "test/integration/table_endpoint.hpp"

namespace muskrat {
namespace {

using integration::all;
using integration::bench_of;
using integration::failure_of;
using integration::mirror;
using integration::row;
using unit::event;

struct Postgres {
  static constexpr const char* kind = "postgres";
  using Connection = pg::Connection;
  static std::string dsn() { return integration::setting("MUSKRAT_TEST_PG_DSN") + " options='-c search_path=mk_test'"; }
  static std::string options() { return "    dsn: \"" + dsn() + "\"\n    state_schema: mk_state\n"; }
  static constexpr const char* tables_made =
      "SET client_min_messages = error; DROP PUBLICATION IF EXISTS mk_test_pub; DROP SCHEMA IF EXISTS mk_test, "
      "mk_state CASCADE; CREATE SCHEMA mk_test; "
      "CREATE TABLE c (id bigint PRIMARY KEY, email varchar(20) NOT NULL, volume int CHECK (volume <> 13), "
      "note text DEFAULT 'kept'); CREATE TABLE log (n bigserial, id bigint, email text)";
  static constexpr const char* tables_dropped =
      "DROP PUBLICATION IF EXISTS mk_test_pub; DROP SCHEMA IF EXISTS mk_test, mk_state CASCADE";
};

void bad_rows_fail_alone_and_say_which_column(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.open(mirror);
  std::vector<Event> events;
  for (int64_t id = 1; id <= 40; ++id) events.push_back(event(id, id, row(id, "e", 1)));
  events[6].body = row(7, "e", 13);
  events[20].body = "{\"id\":21,\"email\":\"secret\",\"volume\":\"not a number\"}";
  events[30].body = row(31, std::string(30, 'x'), 1);
  events[35].body = "{\"id\":36,\"email\":null,\"volume\":1}";
  events[38].body = "{\"id\":39,\"email\":\"a\\u0000b\",\"volume\":1}";
  unit::assert_text(bench.fates(events), "ddddddxdddddddddddddxdddddddddxddddxddxd");
  unit::assert_text(bench.look("SELECT count(*) FROM mk_test.c"), "35");
  unit::assert_holds(bench.reasons, "23514 constraint c_volume_check");
  unit::assert_holds(bench.reasons, "22P02 column volume");
  unit::assert_holds(bench.reasons, "22001");
  unit::assert_holds(bench.reasons, "23502 column email");
  unit::assert_holds(bench.reasons, "column email: a NUL");
  unit::assert_lacks(bench.reasons, "secret");
  unit::assert_lacks(bench.reasons, "not a number");
}

// What is set on the sockets of this process that lead to the server.
std::set<int> user_timeouts(int port) {
  std::set<int> found;
  for (int fd = 3; fd < 1024; ++fd) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.sin_family != AF_INET) continue;
    int ms = 0;
    size = sizeof ms;
    if (ntohs(peer.sin_port) == port && getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &size) == 0)
      found.insert(ms);
  }
  return found;
}

void a_server_that_is_busy_for_the_endpoints_timeout_is_not_given_up(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.make("postgres", Postgres::options() + "    timeout: 5m\n    routes: " + mirror + "\n");
  const int port = std::stoi(bench.look("SELECT inet_server_port()"));
  assert_true(user_timeouts(port).contains(300'000));
}

void missing_parent_is_tried_again(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.run("ALTER TABLE c ADD FOREIGN KEY (volume) REFERENCES mk_test.c (id)");
  bench.run("ALTER TABLE mk_test.c ALTER volume TYPE bigint");
  bench.open(mirror);
  unit::assert_text(bench.fates({event(1, 1, row(1, "child", 2))}), "t");
  unit::assert_text(bench.fates({event(2, 2, "{\"id\":2,\"email\":\"parent\",\"volume\":null}")}), "d");
  unit::assert_text(bench.fates({event(1, 1, row(1, "child", 2))}), "d");
}

void rows_that_need_each_other_go_together(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.run("ALTER TABLE c ALTER volume TYPE bigint; ALTER TABLE c ADD FOREIGN KEY (volume) REFERENCES mk_test.c (id)");
  bench.open(mirror);
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 2)), event(2, 2, row(2, "b", 1))}), "dd");
  unit::assert_text(bench.look(all), "1|a|2;2|b|1");
}

void values_reach_columns_of_every_type(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.run(
      "CREATE TYPE mk_test.mood AS ENUM ('ok', 'so so'); CREATE DOMAIN mk_test.small AS int CHECK (VALUE < 10); CREATE "
      "TABLE "
      "mk_test.types (id uuid PRIMARY KEY, n numeric(30,5), f float8, b boolean, t timestamptz, d date, j jsonb, js "
      "jsonb, a int[], aa "
      "text[], m mk_test.mood, s mk_test.small, y bytea, ch char(5), txt text, i interval)");
  bench.open("[{table: mk_test.types, key: [id], columns: [id, n, f, b, t, d, j, js, a, aa, m, s, y, ch, txt, i]}]");
  unit::assert_text(
      bench.fates({event(
          1, 1,
          "{\"id\":\"6F9619FF-8B86-D011-B42D-00C04FC964FF\",\"n\":12345678901234567890.12345,\"f\":\"NaN\",\"b\":true,"
          "\"t\":\"2026-01-02T03:04:05.678901Z\",\"d\":\"2026-01-02\",\"j\":{\"k\":[1,2.50]},\"js\":\"bare "
          "\\\"text\\\"\","
          "\"a\":[1,null,3],\"aa\":[\"x,y\",\"q\\\"\\\\\",null,\"NULL\",\"\"],\"m\":\"so so\",\"s\":9,"
          "\"y\":\"3q2+7w==\",\"ch\":\"abc\",\"txt\":{\"z\":1},\"i\":\"P1DT2H\"}")}),
      "d");
  unit::assert_text(bench.look("SELECT id, n, f, b, t AT TIME ZONE 'UTC', d, j, js, a, aa, m, s, encode(y, 'hex'), ch, "
                               "txt, i = '1 day 2 hours' "
                               "FROM mk_test.types"),
                    "6f9619ff-8b86-d011-b42d-00c04fc964ff|12345678901234567890.12345|NaN|t|2026-01-02 "
                    "03:04:05.678901|2026-01-02|{\"k\": [1, "
                    "2.50]}|\"bare \\\"text\\\"\"|{1,NULL,3}|{\"x,y\",\"q\\\"\\\\\",NULL,\"NULL\",\"\"}|so "
                    "so|9|deadbeef|abc  |{\"z\":1}|t");
}

void quoted_names_and_columns_of_two_keys(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.run(
      "CREATE TABLE mk_test.\"Odd \"\"name\" (\"Region X\" text, \"from\" int, v text, UNIQUE (\"from\", \"Region "
      "X\"))");
  bench.open(
      "[{table: 'mk_test.\"Odd \"\"name\"', key: ['Region X', from], columns: [{to: 'Region X', from: r}, {to: from, "
      "from: f}, v]}]");
  unit::assert_text(bench.fates({event(1, 1, "{\"r\":\"EU\",\"f\":1,\"v\":\"a\"}"),
                                 event(2, 2, "{\"r\":\"EU\",\"f\":2,\"v\":\"b\"}")}),
                    "dd");
  unit::assert_text(bench.fates({event(1, 3, "{\"r\":\"EU\",\"f\":1,\"v\":\"c\"}", Op::update),
                                 event(2, 4, "{\"r\":\"EU\",\"f\":2,\"v\":\"b\"}", Op::remove)}),
                    "dd");
  unit::assert_text(bench.look("SELECT * FROM mk_test.\"Odd \"\"name\""), "EU|1|c");
}

// Rows of different ordering keys come in no order: the one that gives the value up may come later.
void unique_value_still_held_by_another_row_may_become_free(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.run("CREATE UNIQUE INDEX ON mk_test.c (email)");
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "a", 1))});
  unit::assert_text(bench.fates({event(2, 3, row(2, "a", 1))}), "t");
  unit::assert_holds(bench.reasons, "23505 constraint c_email_idx");
  bench.fates({event(1, 2, row(1, "a", 1), Op::remove)});
  unit::assert_text(bench.fates({event(2, 3, row(2, "a", 1))}), "d");
  unit::assert_text(bench.look(all), "2|a|1");
}

void ranges_and_arrays_reach_columns_of_their_type(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.run(
      "CREATE DOMAIN mk_test.raw AS bytea; CREATE DOMAIN mk_test.raw2 AS mk_test.raw; CREATE TABLE mk_test.odd (id int "
      "PRIMARY KEY, r int4range, tr tstzrange, e int4range, mr int4multirange, ra numrange[], ba bytea[], dom "
      "mk_test.raw2, ja jsonb[], grid int[])");
  bench.open("[{table: mk_test.odd, key: [id], columns: [id, r, tr, e, mr, ra, ba, dom, ja, grid]}]");
  const std::string body =
      R"j({"id":1,"r":{"lower":1,"upper":10,"bounds":"[)"},)j"
      R"j("tr":{"lower":"2026-01-02T03:04:05Z","upper":null,"bounds":"(]"},"e":"empty",)j"
      R"j("mr":[{"lower":1,"upper":3,"bounds":"[)"},{"lower":5,"upper":null,"bounds":"[)"}],)j"
      R"j("ra":[{"lower":0.10,"upper":2,"bounds":"(]"},null,"empty"],"ba":["AP8Q",null,""],"dom":"3q2+7w==",)j"
      R"j("ja":["12",{"a":1},3],"grid":[[1,null],[3,4]]})j";
  unit::assert_text(bench.fates({event(1, 1, body)}), "d");
  unit::assert_text(
      bench.look("SELECT r, lower(tr) = '2026-01-02 03:04:05Z' AND upper_inf(tr), e, mr, ra, ba, dom, ja, "
                 "grid FROM mk_test.odd"),
      R"j([1,10)|t|empty|{[1,3),[5,)}|{"(0.10,2]",NULL,empty}|{"\\x00ff10",NULL,"\\x"}|\xdeadbeef|)j"
      R"j({"\"12\"","{\"a\": 1}",3}|{{1,NULL},{3,4}})j");
  unit::assert_text(bench.fates({event(2, 2, R"({"id":2,"ba":["no base64!"]})")}), "x");
  unit::assert_holds(bench.reasons, "column ba: an element is not base64");
}

void missing_table_column_and_index_are_explained(void** state) {
  auto& bench = bench_of<Postgres>(state);
  const auto open = [&](const std::string& routes) { return failure_of([&] { bench.open(routes); }); };
  unit::assert_holds(open("[{table: mk_test.nowhere, key: [id], columns: [id]}]"),
                     "reconnect: table mk_test.nowhere does not exist");
  unit::assert_holds(open("[{table: mk_test.c, key: [id], columns: [id, emial]}]"),
                     "reconnect: table mk_test.c has no column emial");
  unit::assert_holds(open("[{table: mk_test.c, key: [email], columns: [id, email]}]"),
                     "CREATE UNIQUE INDEX ON mk_test.c (email)");
}

void table_that_goes_away_is_the_endpoints_trouble(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.open(mirror);
  bench.run("ALTER TABLE mk_test.c RENAME TO gone");
  unit::assert_holds(failure_of([&] { bench.fates({event(1, 1, row(1, "a", 1))}); }), "reconnect:");
  bench.run("ALTER TABLE mk_test.gone RENAME TO c");
  bench.endpoint->connect(unit::soon());
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1))}), "d");
}

// What the table cannot do, or not as it is, says nothing of the events: they wait, and none is a dead letter.
void table_that_takes_no_deletes_or_upserts_is_the_endpoints_trouble(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.run(
      "CREATE TABLE mk_test.u (id bigint NOT NULL UNIQUE, email text); CREATE PUBLICATION mk_test_pub FOR TABLE "
      "mk_test.u WITH (publish = 'insert, delete')");
  bench.open("[{table: mk_test.u, key: [id], columns: [id, email]}]");
  const Event gone = event(1, 3, row(1, "a", 1), Op::remove);
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1)), event(2, 2, row(2, "b", 1))}), "dd");
  std::string why = failure_of([&] { bench.fates({gone, event(2, 4, row(2, "b", 1), Op::remove)}); });
  unit::assert_holds(why, "reconnect: ");
  unit::assert_holds(why, "replica identity");
  bench.run("ALTER TABLE mk_test.u REPLICA IDENTITY FULL");
  bench.endpoint->connect(unit::soon());
  unit::assert_text(bench.fates({gone}), "d");
  bench.run("CREATE RULE seen AS ON UPDATE TO mk_test.u DO ALSO DELETE FROM mk_test.log WHERE false");
  why = failure_of([&] { bench.fates({event(2, 5, row(2, "c", 1)), event(3, 6, row(3, "d", 1))}); });
  unit::assert_holds(why, "reconnect: ");
  unit::assert_holds(why, "0A000");
  bench.run("DROP RULE seen ON mk_test.u");
  bench.endpoint->connect(unit::soon());
  unit::assert_text(bench.fates({event(2, 5, row(2, "c", 1)), event(3, 6, row(3, "d", 1))}), "dd");
  unit::assert_text(bench.look("SELECT id, email FROM mk_test.u ORDER BY id"), "2|c;3|d");
}

void state_tables_that_may_not_be_made_are_spelled_out(void** state) {
  auto& bench = bench_of<Postgres>(state);
  bench.run("DROP ROLE IF EXISTS mk_poor; CREATE ROLE mk_poor LOGIN; GRANT USAGE ON SCHEMA mk_test TO mk_poor");
  std::string dsn = integration::setting("MUSKRAT_TEST_PG_DSN") + " user=mk_poor";
  const std::string why = failure_of([&] {
    bench.make("postgres", "    dsn: \"" + dsn + "\"\n    state_schema: mk_state\n    routes: " + mirror + "\n");
  });
  bench.run("REVOKE ALL ON SCHEMA mk_test FROM mk_poor; DROP ROLE mk_poor");
  unit::assert_holds(why, "reconnect:");
  unit::assert_holds(why, "CREATE TABLE IF NOT EXISTS \"mk_state\".guard");
}

}  // namespace
}  // namespace muskrat

int main() {
  using namespace muskrat;
  return integration::run<Postgres>({
      integration::test_of<Postgres, bad_rows_fail_alone_and_say_which_column>(
          "bad_rows_fail_alone_and_say_which_column"),
      integration::test_of<Postgres, a_server_that_is_busy_for_the_endpoints_timeout_is_not_given_up>(
          "a_server_that_is_busy_for_the_endpoints_timeout_is_not_given_up"),
      integration::test_of<Postgres, missing_parent_is_tried_again>("missing_parent_is_tried_again"),
      integration::test_of<Postgres, rows_that_need_each_other_go_together>("rows_that_need_each_other_go_together"),
      integration::test_of<Postgres, values_reach_columns_of_every_type>("values_reach_columns_of_every_type"),
      integration::test_of<Postgres, quoted_names_and_columns_of_two_keys>("quoted_names_and_columns_of_two_keys"),
      integration::test_of<Postgres, unique_value_still_held_by_another_row_may_become_free>(
          "unique_value_still_held_by_another_row_may_become_free"),
      integration::test_of<Postgres, ranges_and_arrays_reach_columns_of_their_type>(
          "ranges_and_arrays_reach_columns_of_their_type"),
      integration::test_of<Postgres, missing_table_column_and_index_are_explained>(
          "missing_table_column_and_index_are_explained"),
      integration::test_of<Postgres, table_that_goes_away_is_the_endpoints_trouble>(
          "table_that_goes_away_is_the_endpoints_trouble"),
      integration::test_of<Postgres, table_that_takes_no_deletes_or_upserts_is_the_endpoints_trouble>(
          "table_that_takes_no_deletes_or_upserts_is_the_endpoints_trouble"),
      integration::test_of<Postgres, state_tables_that_may_not_be_made_are_spelled_out>(
          "state_tables_that_may_not_be_made_are_spelled_out"),
  });
}

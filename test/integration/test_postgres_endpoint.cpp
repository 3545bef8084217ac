// The postgres endpoint against a server: upserts, deletes, appends, the guard, bad rows among good ones, trouble.
#include <functional>

#include "common/pg.hpp"
#include "test/integration/server.hpp"
#include "test/unit/endpoint_fixture.hpp"

namespace muskrat {
namespace {

using Fate = Outcome::Fate;
using unit::event;

struct Bench : unit::Made {
  std::optional<pg::Connection> db;

  void run(const std::string& sql) { db->exec(sql, unit::soon()); }
  // Rows as "a|b;c|d".
  std::string look(const std::string& sql) {
    const pg::Result rows = db->exec(sql, unit::soon());
    std::string text;
    for (int row = 0; row < rows.rows(); ++row) {
      text += row > 0 ? ";" : "";
      for (int column = 0; column < rows.columns(); ++column)
        text += (column > 0 ? "|" : "") + (rows.null(row, column) ? "NULL" : std::string(rows.text(row, column)));
    }
    return text;
  }
  void open(const std::string& routes) {
    make("postgres", "    dsn: \"" + integration::setting("MUSKRAT_TEST_PG_DSN") +
                         "\"\n    state_schema: mk_state\n    timeout: 5s\n    routes: " + routes + "\n");
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
  bench->db = pg::Connection::open({integration::setting("MUSKRAT_TEST_PG_DSN"), "", "test"}, unit::soon());
  bench->run(
      "SET client_min_messages = error; DROP SCHEMA IF EXISTS mk_test, mk_state CASCADE; CREATE SCHEMA mk_test; SET "
      "search_path = "
      "mk_test; CREATE TABLE c (id bigint PRIMARY KEY, email varchar(20) NOT NULL, volume int CHECK (volume <> 13), "
      "note text "
      "DEFAULT 'kept'); CREATE TABLE log (n bigserial, id bigint, email text)");
  return 0;
}
int teardown(void** state) {
  Bench& bench = bench_of(state);
  bench.endpoint.reset();
  bench.run("DROP SCHEMA IF EXISTS mk_test, mk_state CASCADE");
  delete &bench;
  return 0;
}

const char* mirror = "[{table: mk_test.c, key: [id], columns: [id, email, volume]}]";
const char* all = "SELECT id, email, volume FROM mk_test.c ORDER BY id";

std::string row(int64_t id, const std::string& email, int volume) {
  return "{\"id\":" + std::to_string(id) + ",\"email\":\"" + email + "\",\"volume\":" + std::to_string(volume) + "}";
}

void test_postgres_upserts_and_deletes_by_key(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 5)), event(2, 2, row(2, "b", 6))}), "dd");
  unit::assert_text(bench.fates({event(1, 3, row(1, "a2", 7), Op::update), event(2, 4, row(2, "b", 6), Op::remove),
                                 event(3, 5, row(3, "c", 8), Op::backfill)}),
                    "ddd");
  unit::assert_text(bench.look(all), "1|a2|7;3|c|8");
  unit::assert_text(bench.look("SELECT DISTINCT note FROM mk_test.c"), "kept");
}

void test_postgres_repeat_and_older_event_change_nothing(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 10, row(1, "new", 1))});
  unit::assert_text(bench.fates({event(1, 10, row(1, "new", 1))}), "r");
  unit::assert_text(bench.fates({event(1, 9, row(1, "old", 1), Op::update)}), "s");
  unit::assert_text(bench.look(all), "1|new|1");
}

void test_postgres_higher_epoch_wins_over_higher_seq(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 1000, row(1, "old", 1))});
  Event after = event(1, 3, row(1, "restored", 1), Op::update);
  after.epoch = 2;
  unit::assert_text(bench.fates({after}), "d");
  unit::assert_text(bench.look(all), "1|restored|1");
}

void test_postgres_late_event_does_not_resurrect_a_deleted_row(void** state) {
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
void test_postgres_guards_of_other_objects_and_sources_are_apart(void** state) {
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

void test_postgres_two_events_of_one_row_in_a_batch_end_with_the_newer(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  unit::assert_text(bench.fates({event(1, 2, row(1, "newer", 2)), event(1, 1, row(1, "older", 1))}), "ds");
  unit::assert_text(bench.look(all), "1|newer|2");
}

void test_postgres_bad_rows_fail_alone_and_say_which_column(void** state) {
  Bench& bench = bench_of(state);
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

void test_postgres_missing_parent_is_tried_again(void** state) {
  Bench& bench = bench_of(state);
  bench.run("ALTER TABLE mk_test.c ADD FOREIGN KEY (volume) REFERENCES mk_test.c (id)");
  bench.run("ALTER TABLE mk_test.c ALTER volume TYPE bigint");
  bench.open(mirror);
  unit::assert_text(bench.fates({event(1, 1, row(1, "child", 2))}), "t");
  unit::assert_text(bench.fates({event(2, 2, "{\"id\":2,\"email\":\"parent\",\"volume\":null}")}), "d");
  unit::assert_text(bench.fates({event(1, 1, row(1, "child", 2))}), "d");
}

void test_postgres_omitted_field_is_left_alone(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "stays", 1))});
  Event event_without = event(1, 2, "{\"id\":1,\"volume\":2}", Op::update);
  event_without.omitted = "[\"email\"]";
  unit::assert_text(bench.fates({event_without}), "d");
  unit::assert_text(bench.look(all), "1|stays|2");
}

void test_postgres_append_takes_each_message_once(void** state) {
  Bench& bench = bench_of(state);
  bench.open("[{table: mk_test.log, mode: append, columns: [id, email]}]");
  const std::vector<Event> events{event(1, 1, row(1, "a", 1)), event(1, 2, row(1, "b", 1), Op::remove)};
  unit::assert_text(bench.fates(events), "dd");
  unit::assert_text(bench.fates(events), "rr");
  unit::assert_text(bench.fates({events[0], events[0], event(1, 3, row(1, "c", 1))}), "rrd");
  unit::assert_text(bench.look("SELECT email FROM mk_test.log ORDER BY n"), "a;b;c");
}

void test_postgres_several_routes_share_one_transaction(void** state) {
  Bench& bench = bench_of(state);
  bench.open(
      "[{table: mk_test.c, key: [id], columns: [id, email, volume]}, {table: mk_test.log, mode: append, columns: "
      "[id, email]}]");
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1)), event(2, 2, row(2, "b", 13))}), "dx");
  unit::assert_text(bench.look("SELECT id FROM mk_test.log"), "1");
}

void test_postgres_delete_is_a_tombstone_for_every_route_of_the_table(void** state) {
  Bench& bench = bench_of(state);
  bench.open(
      "[{name: signup, on: ['Frontend.Customer.Signup', 'Frontend.Customer.Cancel'], table: mk_test.c, key: [id], "
      "columns: "
      "[id, email]}, {name: plan, on: ['Frontend.Customer.Plan'], table: mk_test.c, key: [id], columns: [id, email, "
      "volume]}]");
  bench.fates({event(1, 1, row(1, "a", 1))});
  bench.fates({event(1, 5, row(1, "a", 1), Op::remove)});
  Event late = event(1, 3, row(1, "late", 9), Op::update);
  late.routing_key = "Frontend.Customer.Plan";
  unit::assert_text(bench.fates({late}), "s");
  unit::assert_text(bench.look(all), "");
}

void test_postgres_attachments_do_not_supersede_one_another(void** state) {
  Bench& bench = bench_of(state);
  bench.open(
      "[{name: signup, on: ['Frontend.Customer.Signup'], table: mk_test.c, key: [id], columns: [id, email]}, "
      "{name: plan, on: ['Frontend.Customer.Plan'], table: mk_test.c, key: [id], columns: [id, email, volume]}]");
  Event plan = event(1, 9, row(1, "a", 9), Op::update);
  plan.routing_key = "Frontend.Customer.Plan";
  bench.fates({plan});
  unit::assert_text(bench.fates({event(1, 3, row(1, "signed", 1))}), "d");
  unit::assert_text(bench.look(all), "1|signed|9");
}

void test_postgres_truncate_empties_and_older_events_stay_out(void** state) {
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

void test_postgres_truncate_that_comes_late_is_a_dead_letter(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.fates({event(1, 9, row(1, "newer", 1))});
  unit::assert_text(bench.fates({event(0, 5, "{}", Op::truncate)}), "x");
  unit::assert_text(bench.look(all), "1|newer|1");
}

void test_postgres_foreign_event_without_sequence_is_upserted_unguarded(void** state) {
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

void test_postgres_values_reach_columns_of_every_type(void** state) {
  Bench& bench = bench_of(state);
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

void test_postgres_quoted_names_and_columns_of_two_keys(void** state) {
  Bench& bench = bench_of(state);
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
void test_postgres_unique_value_still_held_by_another_row_may_become_free(void** state) {
  Bench& bench = bench_of(state);
  bench.run("CREATE UNIQUE INDEX ON mk_test.c (email)");
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "a", 1))});
  unit::assert_text(bench.fates({event(2, 3, row(2, "a", 1))}), "t");
  unit::assert_holds(bench.reasons, "23505 constraint c_email_idx");
  bench.fates({event(1, 2, row(1, "a", 1), Op::remove)});
  unit::assert_text(bench.fates({event(2, 3, row(2, "a", 1))}), "d");
  unit::assert_text(bench.look(all), "2|a|1");
}

void test_postgres_numeric_keys_that_are_equal_have_one_guard(void** state) {
  Bench& bench = bench_of(state);
  bench.run("CREATE TABLE mk_test.rate (k numeric PRIMARY KEY, v text)");
  bench.open("[{table: mk_test.rate, key: [k], columns: [k, v]}]");
  unit::assert_text(bench.fates({event(1, 2, R"({"k":1.00,"v":"newer"})")}), "d");
  unit::assert_text(bench.fates({event(1, 1, R"({"k":1.0,"v":"older"})")}), "s");
  unit::assert_text(bench.fates({event(1, 1, R"({"k":1,"v":"older"})")}), "s");
  unit::assert_text(bench.fates({event(10, 1, R"({"k":10,"v":"ten"})"), event(100, 1, R"({"k":100.50,"v":"x"})")}),
                    "dd");
  unit::assert_text(bench.look("SELECT v FROM mk_test.rate ORDER BY k"), "newer;ten;x");
}

void test_postgres_truncate_counts_for_every_route_of_the_table(void** state) {
  Bench& bench = bench_of(state);
  bench.open(
      "[{name: signup, on: ['Frontend.Customer.Signup'], table: mk_test.c, key: [id], columns: [id, email]}, "
      "{name: plan, on: ['Frontend.Customer.Truncate'], table: mk_test.c, key: [id], columns: [id, email, volume]}]");
  bench.fates({event(1, 1, row(1, "a", 1))});
  unit::assert_text(bench.fates({event(0, 5, "{}", Op::truncate)}), "d");
  unit::assert_text(bench.fates({event(1, 4, row(1, "late", 1))}), "s");
  bench.fates({event(1, 9, row(1, "newer", 1))});
  unit::assert_text(bench.fates({event(0, 8, "{}", Op::truncate)}), "x");
  unit::assert_text(bench.look("SELECT id, email FROM mk_test.c"), "1|newer");
}

void test_postgres_ranges_and_arrays_reach_columns_of_their_type(void** state) {
  Bench& bench = bench_of(state);
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

// ---- trouble is the endpoint's ----

std::string failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return (failure.remedy() == Remedy::reconnect ? "reconnect: " : "stop: ") + std::string(failure.what());
  }
  return "none";
}

void test_postgres_missing_table_column_and_index_are_explained(void** state) {
  Bench& bench = bench_of(state);
  const auto open = [&](const std::string& routes) { return failure_of([&] { bench.open(routes); }); };
  unit::assert_holds(open("[{table: mk_test.nowhere, key: [id], columns: [id]}]"),
                     "reconnect: table mk_test.nowhere does not exist");
  unit::assert_holds(open("[{table: mk_test.c, key: [id], columns: [id, emial]}]"),
                     "reconnect: table mk_test.c has no column emial");
  unit::assert_holds(open("[{table: mk_test.c, key: [email], columns: [id, email]}]"),
                     "CREATE UNIQUE INDEX ON mk_test.c (email)");
}

void test_postgres_table_that_goes_away_is_the_endpoints_trouble(void** state) {
  Bench& bench = bench_of(state);
  bench.open(mirror);
  bench.run("ALTER TABLE mk_test.c RENAME TO gone");
  unit::assert_holds(failure_of([&] { bench.fates({event(1, 1, row(1, "a", 1))}); }), "reconnect:");
  bench.run("ALTER TABLE mk_test.gone RENAME TO c");
  bench.endpoint->connect(unit::soon());
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1))}), "d");
}

void test_postgres_state_tables_that_may_not_be_made_are_spelled_out(void** state) {
  Bench& bench = bench_of(state);
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
  const CMUnitTest tests[] = {
      checked_with(test_postgres_upserts_and_deletes_by_key, setup, teardown),
      checked_with(test_postgres_repeat_and_older_event_change_nothing, setup, teardown),
      checked_with(test_postgres_higher_epoch_wins_over_higher_seq, setup, teardown),
      checked_with(test_postgres_late_event_does_not_resurrect_a_deleted_row, setup, teardown),
      checked_with(test_postgres_guards_of_other_objects_and_sources_are_apart, setup, teardown),
      checked_with(test_postgres_two_events_of_one_row_in_a_batch_end_with_the_newer, setup, teardown),
      checked_with(test_postgres_bad_rows_fail_alone_and_say_which_column, setup, teardown),
      checked_with(test_postgres_missing_parent_is_tried_again, setup, teardown),
      checked_with(test_postgres_omitted_field_is_left_alone, setup, teardown),
      checked_with(test_postgres_append_takes_each_message_once, setup, teardown),
      checked_with(test_postgres_several_routes_share_one_transaction, setup, teardown),
      checked_with(test_postgres_delete_is_a_tombstone_for_every_route_of_the_table, setup, teardown),
      checked_with(test_postgres_attachments_do_not_supersede_one_another, setup, teardown),
      checked_with(test_postgres_truncate_empties_and_older_events_stay_out, setup, teardown),
      checked_with(test_postgres_truncate_that_comes_late_is_a_dead_letter, setup, teardown),
      checked_with(test_postgres_foreign_event_without_sequence_is_upserted_unguarded, setup, teardown),
      checked_with(test_postgres_values_reach_columns_of_every_type, setup, teardown),
      checked_with(test_postgres_quoted_names_and_columns_of_two_keys, setup, teardown),
      checked_with(test_postgres_unique_value_still_held_by_another_row_may_become_free, setup, teardown),
      checked_with(test_postgres_numeric_keys_that_are_equal_have_one_guard, setup, teardown),
      checked_with(test_postgres_truncate_counts_for_every_route_of_the_table, setup, teardown),
      checked_with(test_postgres_ranges_and_arrays_reach_columns_of_their_type, setup, teardown),
      checked_with(test_postgres_missing_table_column_and_index_are_explained, setup, teardown),
      checked_with(test_postgres_table_that_goes_away_is_the_endpoints_trouble, setup, teardown),
      checked_with(test_postgres_state_tables_that_may_not_be_made_are_spelled_out, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

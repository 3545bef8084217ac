// What every endpoint into tables promises, asked of each kind against its own server.
//
// Used by test_postgres_endpoint.cpp and test_mysql_endpoint.cpp, which add what is a kind's own. Each says as `Place`
// where it runs: `kind`, the Connection that looks, the DSN for it, the options of the endpoint, and the SQL that makes
// and drops the tables `c` and `log`.
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "test/integration/server.hpp"
#include "test/unit/endpoint_fixture.hpp"

namespace muskrat::integration {

using unit::event;

template <typename Place>
struct Bench : unit::Made {
  std::optional<typename Place::Connection> db;

  void run(const std::string& sql) { db->exec(sql, unit::soon()); }
  // Rows as "a|b;c|d".
  std::string look(const std::string& sql) {
    const auto rows = db->exec(sql, unit::soon());
    std::string text;
    for (int row = 0; row < rows.rows(); ++row) {
      text += row > 0 ? ";" : "";
      for (int column = 0; column < rows.columns(); ++column)
        text += (column > 0 ? "|" : "") + (rows.null(row, column) ? "NULL" : std::string(rows.text(row, column)));
    }
    return text;
  }
  void open(const std::string& routes) {
    make(Place::kind, Place::options() + "    timeout: 5s\n    routes: " + routes + "\n");
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

template <typename Place>
Bench<Place>& bench_of(void** state) {
  return *static_cast<Bench<Place>*>(*state);
}

template <typename Place>
int setup(void** state) {
  auto* bench = new Bench<Place>;
  *state = bench;
  bench->db = Place::Connection::open({Place::dsn(), "", "test"}, unit::soon());
  bench->run(Place::tables_made);
  return 0;
}

template <typename Place>
int teardown(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.endpoint.reset();
  bench.run(Place::tables_dropped);
  delete &bench;
  return 0;
}

inline const char* mirror = "[{table: c, key: [id], columns: [id, email, volume]}]";
inline const char* all = "SELECT id, email, volume FROM c ORDER BY id";

inline std::string row(int64_t id, const std::string& email, int volume) {
  return "{\"id\":" + std::to_string(id) + ",\"email\":\"" + email + "\",\"volume\":" + std::to_string(volume) + "}";
}

// "reconnect: …" or "stop: …"; "none" when nothing failed.
inline std::string failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return (failure.remedy() == Remedy::reconnect ? "reconnect: " : "stop: ") + std::string(failure.what());
  }
  return "none";
}

namespace promise {

template <typename Place>
void upserts_and_deletes_by_key(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(mirror);
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 5)), event(2, 2, row(2, "b", 6))}), "dd");
  unit::assert_text(bench.fates({event(1, 3, row(1, "a2", 7), Op::update), event(2, 4, row(2, "b", 6), Op::remove),
                                 event(3, 5, row(3, "c", 8), Op::backfill)}),
                    "ddd");
  unit::assert_text(bench.look(all), "1|a2|7;3|c|8");
  unit::assert_text(bench.look("SELECT DISTINCT note FROM c"), "kept");
}

template <typename Place>
void repeat_and_older_event_change_nothing(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(mirror);
  bench.fates({event(1, 10, row(1, "new", 1))});
  unit::assert_text(bench.fates({event(1, 10, row(1, "new", 1))}), "r");
  unit::assert_text(bench.fates({event(1, 9, row(1, "old", 1), Op::update)}), "s");
  unit::assert_text(bench.look(all), "1|new|1");
}

template <typename Place>
void higher_epoch_wins_over_higher_seq(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(mirror);
  bench.fates({event(1, 1000, row(1, "old", 1))});
  Event after = event(1, 3, row(1, "restored", 1), Op::update);
  after.epoch = 2;
  unit::assert_text(bench.fates({after}), "d");
  unit::assert_text(bench.look(all), "1|restored|1");
}

template <typename Place>
void late_event_does_not_resurrect_a_deleted_row(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "a", 1))});
  bench.fates({event(1, 5, row(1, "a", 1), Op::remove)});
  unit::assert_text(bench.fates({event(1, 4, row(1, "late", 1), Op::update)}), "s");
  unit::assert_text(bench.look(all), "");
  unit::assert_text(bench.fates({event(1, 6, row(1, "anew", 1))}), "d");
  unit::assert_text(bench.look(all), "1|anew|1");
}

// TRAPS of a guard that is too narrow or too wide: another object's equal key, another source's.
template <typename Place>
void guards_of_other_objects_and_sources_are_apart(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
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

template <typename Place>
void two_events_of_one_row_in_a_batch_end_with_the_newer(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(mirror);
  unit::assert_text(bench.fates({event(1, 2, row(1, "newer", 2)), event(1, 1, row(1, "older", 1))}), "ds");
  unit::assert_text(bench.look(all), "1|newer|2");
}

template <typename Place>
void omitted_field_is_left_alone(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "stays", 1))});
  Event event_without = event(1, 2, "{\"id\":1,\"volume\":2}", Op::update);
  event_without.omitted = "[\"email\"]";
  unit::assert_text(bench.fates({event_without}), "d");
  unit::assert_text(bench.look(all), "1|stays|2");
}

template <typename Place>
void append_takes_each_message_once(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open("[{table: log, mode: append, columns: [id, email]}]");
  const std::vector<Event> events{event(1, 1, row(1, "a", 1)), event(1, 2, row(1, "b", 1), Op::remove)};
  unit::assert_text(bench.fates(events), "dd");
  unit::assert_text(bench.fates(events), "rr");
  unit::assert_text(bench.fates({events[0], events[0], event(1, 3, row(1, "c", 1))}), "rrd");
  unit::assert_text(bench.look("SELECT email FROM log ORDER BY n"), "a;b;c");
}

// 600 events of 60 rows: changes, deletes, columns left out, rows the table refuses, repeats and older ones, some
// without a place in order. Cut so that no batch has two of one row, they must end alike whatever the cut.
inline std::vector<Event> mixed_events() {
  std::mt19937 dice(20261126);  // NOLINT(cert-msc32-c,cert-msc51-cpp): each run the same
  std::vector<Event> events;
  for (int64_t seq = 1; seq <= 600; ++seq) {
    const int64_t id = seq % 60;
    const auto volume = static_cast<int>(dice() % 16);  // the table refuses 13
    const unsigned kind = dice() % 10;
    std::string body = row(id, "e" + std::to_string(seq), volume);
    if (kind == 1) body = "{\"id\":" + std::to_string(id) + ",\"volume\":" + std::to_string(volume) + "}";
    Event made = event(id, seq, body, kind == 0 ? Op::remove : kind < 5 ? Op::insert : Op::update);
    if (kind == 6 && seq > 60) made = events[static_cast<size_t>(seq - 61)];  // the row's last one again
    if (kind == 7) made.seq = std::max<int64_t>(seq - 150, 1);                // an old one
    if (kind == 8)
      made.epoch = made.seq = 0, made.source = "elsewhere", made.message_id += "f";  // from no source of ours
    events.push_back(made);
  }
  return events;
}

template <typename Place>
void batches_of_any_size_end_alike(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  const std::vector<Event> events = mixed_events();
  std::vector<std::string> ends;
  for (const std::ptrdiff_t size : {1, 3, 60}) {
    bench.endpoint.reset();
    bench.run(Place::tables_made);
    bench.open(
        "[{table: c, key: [id], columns: [id, email, volume]}, {name: second, table: c, key: [id], columns: [id, "
        "volume]}, "
        "{table: log, mode: append, columns: [id, email]}]");
    std::string fates;
    for (auto at = events.begin(); at != events.end(); at += size) fates += bench.fates({at, at + size});
    ends.push_back(fates + bench.look(all) + bench.look("SELECT id, email FROM log ORDER BY n"));
    for (const char fate : std::string("drsx"))
      if (fates.find(fate) == std::string::npos) fail_msg("no event ended as %c: %s", fate, fates.c_str());
  }
  unit::assert_text(ends[1], ends[0]);
  unit::assert_text(ends[2], ends[0]);
}

template <typename Place>
void several_routes_share_one_transaction(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(
      "[{table: c, key: [id], columns: [id, email, volume]}, {table: log, mode: append, columns: "
      "[id, email]}]");
  unit::assert_text(bench.fates({event(1, 1, row(1, "a", 1)), event(2, 2, row(2, "b", 13))}), "dx");
  unit::assert_text(bench.look("SELECT id FROM log"), "1");
}

template <typename Place>
void delete_is_a_tombstone_for_every_route_of_the_table(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
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

template <typename Place>
void attachments_do_not_supersede_one_another(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(
      "[{name: signup, on: ['Frontend.Customer.Signup'], table: c, key: [id], columns: [id, email]}, "
      "{name: plan, on: ['Frontend.Customer.Plan'], table: c, key: [id], columns: [id, email, volume]}]");
  Event plan = event(1, 9, row(1, "a", 9), Op::update);
  plan.routing_key = "Frontend.Customer.Plan";
  bench.fates({plan});
  unit::assert_text(bench.fates({event(1, 3, row(1, "signed", 1))}), "d");
  unit::assert_text(bench.look(all), "1|signed|9");
}

template <typename Place>
void truncate_empties_and_older_events_stay_out(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(mirror);
  bench.fates({event(1, 1, row(1, "a", 1)), event(2, 2, row(2, "b", 1))});
  const Event truncate = event(0, 5, "{}", Op::truncate);
  unit::assert_text(bench.fates({truncate}), "d");
  unit::assert_text(bench.look(all), "");
  unit::assert_text(bench.fates({event(3, 4, row(3, "late", 1)), event(4, 6, row(4, "after", 1))}), "sd");
  unit::assert_text(bench.fates({truncate}), "r");
  unit::assert_text(bench.look(all), "4|after|1");
}

template <typename Place>
void truncate_is_a_row_of_routes_that_append(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(
      "[{table: c, key: [id], columns: [id, email, volume]}, {table: log, mode: append, columns: [id, {to: email, "
      "from: $op}]}]");
  bench.fates({event(1, 1, row(1, "a", 1))});
  const Event truncate = event(0, 5, "{}", Op::truncate);
  unit::assert_text(bench.fates({truncate}), "d");
  unit::assert_text(bench.fates({truncate}), "r");
  unit::assert_text(bench.look(all), "");
  unit::assert_text(bench.look("SELECT id, email FROM log ORDER BY n"), "1|insert;NULL|truncate");
  bench.fates({event(2, 9, row(2, "newer", 1))});
  unit::assert_text(bench.fates({event(0, 7, "{}", Op::truncate)}), "x");  // late, and nothing of it stays
  unit::assert_text(bench.look("SELECT id, email FROM log ORDER BY n"), "1|insert;NULL|truncate;2|insert");
}

template <typename Place>
void event_with_none_of_the_columns_appends_a_row_of_defaults(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open("[{table: log, mode: append, columns: [id, email]}]");
  Event foreign = event(0, 6, "{}");
  foreign.message_id.clear();
  unit::assert_text(bench.fates({event(0, 5, "{}", Op::truncate)}), "d");
  unit::assert_text(bench.fates({foreign}), "d");
  unit::assert_text(bench.look("SELECT id, email FROM log ORDER BY n"), "NULL|NULL;NULL|NULL");
}

template <typename Place>
void truncate_that_comes_late_is_a_dead_letter(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(mirror);
  bench.fates({event(1, 9, row(1, "newer", 1))});
  unit::assert_text(bench.fates({event(0, 5, "{}", Op::truncate)}), "x");
  unit::assert_text(bench.look(all), "1|newer|1");
}

template <typename Place>
void foreign_event_without_sequence_is_upserted_unguarded(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.open(mirror);
  Event foreign = event(1, 0, row(1, "a", 1), Op::emit);
  foreign.epoch = 0;
  foreign.source.clear();
  unit::assert_text(bench.fates({foreign}), "d");
  foreign.body = row(1, "b", 2);
  unit::assert_text(bench.fates({foreign}), "d");
  unit::assert_text(bench.look(all), "1|b|2");
}

template <typename Place>
void numeric_keys_that_are_equal_have_one_guard(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
  bench.run("CREATE TABLE rate (k DECIMAL(10,2) PRIMARY KEY, v TEXT)");
  bench.open("[{table: rate, key: [k], columns: [k, v]}]");
  unit::assert_text(bench.fates({event(1, 2, R"({"k":1.00,"v":"newer"})")}), "d");
  unit::assert_text(bench.fates({event(1, 1, R"({"k":1.0,"v":"older"})")}), "s");
  unit::assert_text(bench.fates({event(1, 1, R"({"k":1,"v":"older"})")}), "s");
  unit::assert_text(bench.fates({event(10, 1, R"({"k":10,"v":"ten"})"), event(100, 1, R"({"k":100.50,"v":"x"})")}),
                    "dd");
  unit::assert_text(bench.look("SELECT v FROM rate ORDER BY k"), "newer;ten;x");
}

template <typename Place>
void truncate_counts_for_every_route_of_the_table(void** state) {
  Bench<Place>& bench = bench_of<Place>(state);
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

}  // namespace promise

// A test of this kind, and what it is called in the report: test_<kind>_<name>.
template <typename Place, void (*test)(void**)>
CMUnitTest test_of(const std::string& name) {
  static std::list<std::string> names;
  names.push_back("test_" + std::string(Place::kind) + "_" + name);
  return {names.back().c_str(), unit::guarded<test>, setup<Place>, teardown<Place>, nullptr};
}

template <typename Place>
std::vector<CMUnitTest> promises() {
  return {
      test_of<Place, promise::upserts_and_deletes_by_key<Place>>("upserts_and_deletes_by_key"),
      test_of<Place, promise::repeat_and_older_event_change_nothing<Place>>("repeat_and_older_event_change_nothing"),
      test_of<Place, promise::higher_epoch_wins_over_higher_seq<Place>>("higher_epoch_wins_over_higher_seq"),
      test_of<Place, promise::late_event_does_not_resurrect_a_deleted_row<Place>>(
          "late_event_does_not_resurrect_a_deleted_row"),
      test_of<Place, promise::guards_of_other_objects_and_sources_are_apart<Place>>(
          "guards_of_other_objects_and_sources_are_apart"),
      test_of<Place, promise::two_events_of_one_row_in_a_batch_end_with_the_newer<Place>>(
          "two_events_of_one_row_in_a_batch_end_with_the_newer"),
      test_of<Place, promise::omitted_field_is_left_alone<Place>>("omitted_field_is_left_alone"),
      test_of<Place, promise::append_takes_each_message_once<Place>>("append_takes_each_message_once"),
      test_of<Place, promise::several_routes_share_one_transaction<Place>>("several_routes_share_one_transaction"),
      test_of<Place, promise::batches_of_any_size_end_alike<Place>>("batches_of_any_size_end_alike"),
      test_of<Place, promise::delete_is_a_tombstone_for_every_route_of_the_table<Place>>(
          "delete_is_a_tombstone_for_every_route_of_the_table"),
      test_of<Place, promise::attachments_do_not_supersede_one_another<Place>>(
          "attachments_do_not_supersede_one_another"),
      test_of<Place, promise::truncate_empties_and_older_events_stay_out<Place>>(
          "truncate_empties_and_older_events_stay_out"),
      test_of<Place, promise::truncate_is_a_row_of_routes_that_append<Place>>(
          "truncate_is_a_row_of_routes_that_append"),
      test_of<Place, promise::event_with_none_of_the_columns_appends_a_row_of_defaults<Place>>(
          "event_with_none_of_the_columns_appends_a_row_of_defaults"),
      test_of<Place, promise::truncate_that_comes_late_is_a_dead_letter<Place>>(
          "truncate_that_comes_late_is_a_dead_letter"),
      test_of<Place, promise::foreign_event_without_sequence_is_upserted_unguarded<Place>>(
          "foreign_event_without_sequence_is_upserted_unguarded"),
      test_of<Place, promise::numeric_keys_that_are_equal_have_one_guard<Place>>(
          "numeric_keys_that_are_equal_have_one_guard"),
      test_of<Place, promise::truncate_counts_for_every_route_of_the_table<Place>>(
          "truncate_counts_for_every_route_of_the_table"),
  };
}

// The promises of all, and what is the kind's own.
template <typename Place>
int run(const std::vector<CMUnitTest>& own) {
  std::vector<CMUnitTest> tests = promises<Place>();
  tests.insert(tests.end(), own.begin(), own.end());
  return _cmocka_run_group_tests(Place::kind, tests.data(), tests.size(), nullptr, nullptr);
}

}  // namespace muskrat::integration

// The libpq wrapper against a PostgreSQL server.
#include <thread>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/pg.hpp"
#include "test/integration/server.hpp"

using namespace muskrat;
using muskrat::integration::setting;
using muskrat::integration::Stopwatch;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

Deadline soon() { return Deadline::in(std::chrono::seconds(10)); }

pg::Connection connect() { return pg::Connection::open({setting("MUSKRAT_TEST_PG_DSN"), "", "muskrat test"}, soon()); }

// A local socket that accepts connections in the kernel and never answers.
class Silence {
 public:
  Silence() {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address_), size) != 0 || ::listen(fd_, 8) != 0) abort();
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size);
  }
  ~Silence() { ::close(fd_); }
  std::string port() const { return std::to_string(ntohs(address_.sin_port)); }

 private:
  int fd_;
  sockaddr_in address_{};
};

struct Refusal {
  std::string text, sqlstate, constraint, column;
  Remedy remedy = Remedy::stop;
  bool sql = false, transient = false;
};

template <typename Act>
Refusal refusal(Act act) {
  try {
    act();
  } catch (const pg::SqlError& e) {
    return {e.what(), e.sqlstate(), e.constraint(), e.column(), e.remedy(), true, e.transient()};
  } catch (const Failure& e) {
    return {e.what(), "", "", "", e.remedy(), false, false};
  }
  fail_msg("nothing was refused");
  return {};
}

// ---- statements ----

void test_exec_with_parameters_returns_typed_values(void**) {
  auto db = connect();
  std::string text = "a 'quoted' ü";
  pg::Param params[] = {text, std::nullopt, "9223372036854775807", "t"};
  auto result = db.exec("SELECT $1::text, $2::text, $3::bigint, $4::boolean", params, soon());
  assert_int_equal(result.rows(), 1);
  assert_int_equal(result.columns(), 4);
  assert_text(result.text(0, 0), text);
  assert_true(result.null(0, 1));
  assert_true(result.int64(0, 2) == INT64_MAX);
  assert_true(result.boolean(0, 3));
  assert_holds(refusal([&] { result.int64(0, 0); }).text, "holds no integer");
}

void test_exec_of_several_statements_returns_the_last(void**) {
  auto db = connect();
  auto result = db.exec("CREATE TEMP TABLE t(a int); INSERT INTO t VALUES (1),(2); UPDATE t SET a = a + 1", soon());
  assert_int_equal(result.affected(), 2);
  assert_int_equal(db.exec("SELECT a FROM t", soon()).rows(), 2);
}

void test_exec_prepared_is_prepared_once_and_survives_deallocation(void**) {
  auto db = connect();
  for (int i = 0; i < 3; ++i) {
    auto number = std::to_string(i);
    pg::Param params[] = {number};
    assert_int_equal(db.exec_prepared("SELECT $1::int + 1", params, soon()).int64(0, 0), i + 1);
  }
  assert_int_equal(db.exec("SELECT count(*) FROM pg_prepared_statements", soon()).int64(0, 0), 1);
  db.exec("DEALLOCATE ALL", soon());
  pg::Param params[] = {"41"};
  assert_int_equal(db.exec_prepared("SELECT $1::int + 1", params, soon()).int64(0, 0), 42);
}

void test_exec_prepared_after_the_table_changed_shape_is_prepared_anew(void**) {
  auto db = connect();
  db.exec("CREATE TEMP TABLE t AS SELECT 1 AS a", soon());
  assert_int_equal(db.exec_prepared("SELECT * FROM t", {}, soon()).columns(), 1);
  db.exec("ALTER TABLE t ADD b int", soon());
  assert_int_equal(db.exec_prepared("SELECT * FROM t", {}, soon()).columns(), 2);
  assert_int_equal(db.exec_prepared("SELECT * FROM t", {}, soon()).columns(), 2);
}

void test_large_text_goes_both_ways(void**) {
  auto db = connect();
  std::string large;
  large.resize(20'000'000, 'x');
  pg::Param params[] = {large};
  assert_true(db.exec("SELECT $1::text", params, soon()).text(0, 0) == large);
}

void test_text_with_nul_is_refused_before_it_is_sent(void**) {
  auto db = connect();
  std::string text("a\0b", 3);
  pg::Param params[] = {text};
  assert_text(refusal([&] { db.exec("SELECT $1::text", params, soon()); }).sqlstate, "22021");
  pg::Connection::Statement statements[] = {{"SELECT 1", {}}, {"SELECT $1::text", {text}}};
  assert_text(refusal([&] { db.pipeline(statements, soon()); }).sqlstate, "22021");
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

// ---- refusals ----

void test_sql_error_names_the_constraint_and_never_quotes_the_row(void**) {
  auto db = connect();
  db.exec("CREATE TEMP TABLE t(a int CONSTRAINT only_once UNIQUE, b text CONSTRAINT no_b CHECK (b <> 'secret'))",
          soon());
  db.exec("INSERT INTO t VALUES (4711, 'x')", soon());
  auto duplicate = refusal([&] { db.exec("INSERT INTO t VALUES (4711, 'y')", soon()); });
  assert_true(duplicate.sql);
  assert_text(duplicate.sqlstate, "23505");
  assert_text(duplicate.constraint, "only_once");
  assert_lacks(duplicate.text, "4711");
  assert_false(duplicate.transient);
  auto check = refusal([&] { db.exec("INSERT INTO t VALUES (1, 'secret')", soon()); });
  assert_text(check.constraint, "no_b");
  assert_lacks(check.text, "secret");
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

void test_sql_error_keeps_hint_and_says_what_may_pass(void**) {
  auto db = connect();
  auto raised =
      refusal([&] { db.exec("DO $$ BEGIN RAISE 'held' USING HINT = 'wait', ERRCODE = '55P03'; END $$", soon()); });
  assert_holds(raised.text, "held (hint: wait)");
  assert_true(raised.transient);
  assert_true(raised.remedy == Remedy::reconnect);
  auto syntax = refusal([&] { db.exec("SELEC 1", soon()); });
  assert_true(syntax.remedy == Remedy::stop);
}

void test_sql_error_in_a_transaction_is_seen_and_rolled_back(void**) {
  auto db = connect();
  assert_false(db.in_transaction());
  db.exec("BEGIN", soon());
  assert_true(db.in_transaction());
  refusal([&] { db.exec("SELECT 1/0", soon()); });
  assert_true(db.in_transaction());
  db.exec("ROLLBACK", soon());
  assert_false(db.in_transaction());
}

void test_warnings_are_counted_and_notices_are_not(void**) {
  auto db = connect();
  int before = db.warnings_seen();
  db.exec("DO $$ BEGIN RAISE NOTICE 'n'; END $$", soon());
  assert_int_equal(db.warnings_seen(), before);
  db.exec("DO $$ BEGIN RAISE WARNING 'w'; END $$", soon());
  assert_int_equal(db.warnings_seen(), before + 1);
}

// ---- streams, pipelines, COPY ----

void test_stream_hands_over_every_row(void**) {
  auto db = connect();
  int64_t sum = 0;
  pg::Param params[] = {"100000"};
  auto rows = db.stream(
      "SELECT generate_series(1, $1::int)", params, [&](const pg::Result& row) { sum += row.int64(0, 0); }, soon());
  assert_int_equal(rows, 100'000);
  assert_true(sum == 5'000'050'000);
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

void test_stream_refused_in_the_middle_throws_and_leaves_the_connection(void**) {
  auto db = connect();
  int seen = 0;
  auto error = refusal([&] {
    db.stream(
        "SELECT 10 / (3 - i) FROM generate_series(1, 5) i", {}, [&](const pg::Result&) { ++seen; }, soon());
  });
  assert_text(error.sqlstate, "22012");
  assert_int_equal(seen, 2);
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

void test_stream_whose_reader_throws_spoils_the_connection(void**) {
  auto db = connect();
  refusal([&] {
    db.stream(
        "SELECT generate_series(1, 5)", {}, [](const pg::Result&) { throw Failure(Remedy::stop, "no"); }, soon());
  });
  assert_holds(refusal([&] { db.exec("SELECT 1", soon()); }).text, "has failed before");
}

void test_copy_out_hands_over_every_row_in_binary(void**) {
  auto db = connect();
  int64_t sum = 0, at = 0;
  std::string text;
  bool null = false;
  const auto rows = db.copy_out(
      "SELECT i::bigint, CASE WHEN i < 100000 THEN NULL ELSE 'é' END, '2000-01-01 00:00:01+00'::timestamptz "
      "FROM generate_series(1, 100000) i",
      [&](const pg::CopyRows::Fields& row) {
        sum += pg::binary_integer(*row[0]);
        null = null || !row[1];
        if (row[1]) text = *row[1];
        at = pg::binary_time_us(*row[2]);
      },
      soon());
  assert_int_equal(rows, 100'000);
  assert_true(sum == 5'000'050'000);
  assert_true(null);
  assert_text(text, "é");
  assert_true(at ==
              db.exec("SELECT extract(epoch FROM '2000-01-01 00:00:01+00'::timestamptz)::bigint * 1000000", soon())
                  .int64(0, 0));
  assert_int_equal(db.copy_out(
                       "SELECT 1 WHERE false", [](const auto&) {}, soon()),
                   0);
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

void test_copy_out_refused_at_its_start_or_in_the_middle_leaves_the_connection(void**) {
  auto db = connect();
  assert_text(refusal([&] {
                db.copy_out(
                    "SELECT * FROM missing", [](const auto&) {}, soon());
              }).sqlstate,
              "42P01");
  int64_t seen = 0;
  const auto error = refusal([&] {
    db.copy_out(
        "SELECT 10 / (30000 - i) FROM generate_series(1, 50000) i", [&](const auto&) { ++seen; }, soon());
  });
  assert_text(error.sqlstate, "22012");
  assert_int_equal(seen, 29'999);
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

void test_copy_out_whose_reader_throws_or_whose_time_is_over_spoils_the_connection(void**) {
  auto db = connect();
  refusal([&] {
    db.copy_out(
        "SELECT generate_series(1, 5)", [](const auto&) { throw Failure(Remedy::stop, "no"); }, soon());
  });
  assert_holds(refusal([&] { db.exec("SELECT 1", soon()); }).text, "has failed before");
  auto slow = connect();
  const auto error = refusal([&] {
    slow.copy_out(
        "SELECT i, pg_sleep(0.05) FROM generate_series(1, 1000) i", [](const auto&) {},
        Deadline::in(milliseconds(300)));
  });
  assert_holds(error.text, "no answer in time");
  assert_true(error.remedy == Remedy::reconnect);
}

void test_answer_of_a_statement_that_was_sent_is_received_later(void**) {
  auto db = connect();
  const pg::Param params[] = {"41"};
  db.send_prepared("SELECT $1::int + 1, now()", params, soon(), pg::Format::binary);
  const auto answer = db.receive(soon());
  assert_int_equal(answer.binary_int(0, 0), 42);
  const pg::Param zero[] = {"0"};
  db.send_prepared("SELECT 1 / $1::int", zero, soon(), pg::Format::text);
  assert_text(refusal([&] { db.receive(soon()); }).sqlstate, "22012");
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

void test_pipeline_answers_each_statement_in_place(void**) {
  auto db = connect();
  db.exec("CREATE TEMP TABLE t(a int)", soon());
  std::vector<pg::Connection::Statement> statements;
  std::vector<std::string> numbers;
  statements.reserve(500);
  numbers.reserve(500);
  for (int i = 0; i < 500; ++i) numbers.push_back(std::to_string(i));
  for (auto& number : numbers) statements.push_back({"INSERT INTO t VALUES ($1) RETURNING a", {number}});
  auto results = db.pipeline(statements, soon());
  assert_int_equal(results.size(), 500);
  for (int i = 0; i < 500; ++i) assert_int_equal(results[static_cast<size_t>(i)].int64(0, 0), i);
  assert_int_equal(db.exec("SELECT count(*) FROM t", soon()).int64(0, 0), 500);
}

void test_pipeline_with_a_refused_statement_undoes_all_and_throws(void**) {
  auto db = connect();
  db.exec("CREATE TEMP TABLE t(a int)", soon());
  pg::Connection::Statement statements[] = {
      {"INSERT INTO t VALUES (1)", {}}, {"SELECT 1/0", {}}, {"INSERT INTO t VALUES (2)", {}}};
  assert_text(refusal([&] { db.pipeline(statements, soon()); }).sqlstate, "22012");
  assert_int_equal(db.exec("SELECT count(*) FROM t", soon()).int64(0, 0), 0);
}

int64_t prepared_statements(pg::Connection& db) {
  return db.exec("SELECT count(*) FROM pg_prepared_statements", soon()).int64(0, 0);
}

void test_pipeline_whose_commit_is_refused_throws(void**) {
  auto db = connect();
  db.exec("CREATE TEMP TABLE numbers (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)", soon());
  const std::vector<pg::Connection::Statement> statements = {{"INSERT INTO numbers VALUES (1)", {}},
                                                             {"INSERT INTO numbers VALUES (1)", {}}};
  assert_text(refusal([&] { db.pipeline(statements, soon()); }).sqlstate, "23505");
  assert_int_equal(db.exec("SELECT count(*) FROM numbers", soon()).int64(0, 0), 0);
}

void test_pipeline_prepares_what_is_repeated_once(void**) {
  auto db = connect();
  const pg::Connection::Statement add{"SELECT $1::int + 1", {"1"}, true}, other{"SELECT $1::int + 2", {"1"}, false};
  const std::vector<pg::Connection::Statement> statements{add, other, add};
  for (int i = 0; i < 3; ++i) {
    const auto results = db.pipeline(statements, soon());
    assert_int_equal(results.size(), 3);
    assert_int_equal(results[0].int64(0, 0), 2);
    assert_int_equal(results[1].int64(0, 0), 3);
    assert_int_equal(results[2].int64(0, 0), 2);
    assert_int_equal(prepared_statements(db), 1);
  }
}

void test_pipeline_prepares_no_more_than_the_server_should_keep(void**) {
  auto db = connect();
  for (int i = 0; i < 300; ++i) {
    const pg::Connection::Statement one[] = {{"SELECT " + std::to_string(i), {}, true}};
    assert_int_equal(db.pipeline(one, soon())[0].int64(0, 0), i);
  }
  assert_int_equal(prepared_statements(db), 200);
}

void test_pipeline_whose_prepared_statements_are_gone_works_the_next_time(void**) {
  auto db = connect();
  const std::vector<pg::Connection::Statement> statements{{"SELECT $1::int", {"7"}, true},
                                                          {"SELECT $1::text", {"8"}, true}};
  db.pipeline(statements, soon());
  db.exec("DEALLOCATE ALL", soon());
  assert_text(refusal([&] { db.pipeline(statements, soon()); }).sqlstate, "26000");
  assert_int_equal(db.pipeline(statements, soon())[0].int64(0, 0), 7);
}

// A pooler in transaction mode gives two connections the same session, one after the other.
void test_prepared_names_of_two_connections_differ(void**) {
  std::vector<std::string> names;
  for (const char* sql : {"SELECT $1::int + 1", "SELECT $1::int + 2"}) {
    auto db = connect();
    const std::vector<pg::Connection::Statement> one{{sql, {"1"}, true}};
    db.pipeline(one, soon());
    names.emplace_back(db.exec("SELECT name FROM pg_prepared_statements", soon()).text(0, 0));
  }
  assert_string_not_equal(names[0].c_str(), names[1].c_str());
}

void test_pipeline_plans_anew_now_and_then_when_told(void**) {
  auto db = connect();
  db.exec("SET plan_cache_mode = force_generic_plan; CREATE TEMP TABLE grows (n int PRIMARY KEY)", soon());
  db.exec("INSERT INTO grows VALUES (1); ANALYZE grows", soon());
  const std::vector<pg::Connection::Statement> one{{"SELECT n FROM grows WHERE n = $1::int", {"1"}, true}};
  const auto plan = [&] {
    assert_int_equal(db.pipeline(one, soon())[0].int64(0, 0), 1);
    const auto name = db.exec("SELECT name FROM pg_prepared_statements", soon());
    return std::string(db.exec("EXPLAIN EXECUTE " + std::string(name.text(0, 0)) + "(1)", soon()).text(0, 0));
  };
  assert_holds(plan(), "Seq Scan");
  db.exec("INSERT INTO grows SELECT generate_series(2, 20000)", soon());
  db.replan_every(milliseconds(3'600'000));
  assert_holds(plan(), "Seq Scan");
  db.replan_every(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(2));
  assert_holds(plan(), "Index");
}

void test_pipeline_refused_keeps_what_it_prepared(void**) {
  auto db = connect();
  const std::vector<pg::Connection::Statement> statements{{"SELECT 1/$1::int", {"0"}, true}};
  for (int i = 0; i < 2; ++i) {
    assert_text(refusal([&] { db.pipeline(statements, soon()); }).sqlstate, "22012");
    assert_int_equal(prepared_statements(db), 1);
  }
}

void test_pipeline_larger_than_every_buffer_does_not_lock_up(void**) {
  auto db = connect();
  std::string large(2'000'000, 'x');
  std::vector<pg::Connection::Statement> statements(10, {"SELECT $1::text", {large}});
  auto results = db.pipeline(statements, soon());
  assert_true(results[9].text(0, 0) == large);
}

void test_copy_in_takes_rows_and_tells_how_many(void**) {
  auto db = connect();
  db.exec("CREATE TEMP TABLE t(a int, b text)", soon());
  std::string rows;
  for (int i = 0; i < 50'000; ++i) rows += std::to_string(i) + "\tline\n";
  assert_int_equal(db.copy_in("COPY t FROM STDIN", rows, soon()), 50'000);
  assert_text(refusal([&] { db.copy_in("COPY t FROM STDIN", "x\ty\n", soon()); }).sqlstate, "22P02");
  assert_text(refusal([&] { db.copy_in("COPY missing FROM STDIN", "x", soon()); }).sqlstate, "42P01");
  assert_int_equal(db.exec("SELECT count(*) FROM t", soon()).int64(0, 0), 50'000);
}

// ---- waiting and losing ----

void test_deadline_passed_spoils_the_connection_and_cancels_the_statement(void**) {
  auto db = connect(), other = connect();
  auto pid = std::to_string(db.backend_pid());
  Stopwatch watch;
  auto late = refusal([&] { db.exec("SELECT pg_sleep(30)", Deadline::in(milliseconds(300))); });
  assert_in_range(watch.ms(), 300, 1500);
  assert_false(late.sql);
  assert_true(late.remedy == Remedy::reconnect);
  assert_holds(late.text, "no answer in time");
  assert_holds(refusal([&] { db.exec("SELECT 1", soon()); }).text, "has failed before");
  pg::Param params[] = {pid};
  bool gone = false;
  for (int i = 0; i < 100 && !gone; ++i) {
    std::this_thread::sleep_for(milliseconds(20));
    gone =
        other.exec("SELECT FROM pg_stat_activity WHERE pid = $1::int AND state = 'active'", params, soon()).rows() == 0;
  }
  assert_true(gone);
}

void test_backend_terminated_while_idle_is_noticed_at_the_next_read(void**) {
  auto db = connect(), other = connect();
  auto pid = std::to_string(db.backend_pid());
  pg::Param params[] = {pid};
  other.exec("SELECT pg_terminate_backend($1::int)", params, soon());
  pollfd entry{db.socket(), POLLIN, 0};
  assert_int_equal(::poll(&entry, 1, 5000), 1);
  auto lost = refusal([&] {
    for (int i = 0; i < 100; ++i) {
      db.consume_input();
      std::this_thread::sleep_for(milliseconds(10));
    }
  });
  assert_true(lost.remedy == Remedy::reconnect);
  assert_holds(lost.text, "lost the connection to database postgres on 127.0.0.1:");
}

void test_backend_terminated_in_a_statement_is_a_lost_connection_not_an_sql_error(void**) {
  auto db = connect();
  auto lost = refusal([&] { db.exec("SELECT pg_terminate_backend(pg_backend_pid())", soon()); });
  assert_false(lost.sql);
  assert_true(lost.remedy == Remedy::reconnect);
  assert_holds(refusal([&] { db.exec("SELECT 1", soon()); }).text, "has failed before");
}

void test_notifications_arrive_without_waiting(void**) {
  auto db = connect(), other = connect();
  db.exec("LISTEN doorbell", soon());
  assert_false(db.next_notification().has_value());
  other.exec("NOTIFY doorbell, 'ring'", soon());
  pollfd entry{db.socket(), POLLIN, 0};
  assert_int_equal(::poll(&entry, 1, 5000), 1);
  db.consume_input();
  auto heard = db.next_notification();
  assert_true(heard.has_value());
  assert_text(heard->channel, "doorbell");
  assert_text(heard->payload, "ring");
  assert_int_equal(heard->backend_pid, other.backend_pid());
}

// ---- opening ----

void test_open_reports_place_version_and_encoding(void**) {
  auto db = connect();
  assert_holds(db.place(), "database postgres on 127.0.0.1:");
  assert_true(db.server_version() >= 150000);
  assert_text(db.exec("SHOW client_encoding", soon()).text(0, 0), "UTF8");
  assert_text(db.exec("SHOW application_name", soon()).text(0, 0), "muskrat test");
}

void test_open_on_a_silent_port_gives_up_at_the_deadline(void**) {
  Silence silence;
  Stopwatch watch;
  auto error = refusal([&] {
    pg::Connection::open({"host=127.0.0.1 sslmode=disable dbname=d user=u port=" + silence.port(), "hunter2", "t"},
                         Deadline::in(milliseconds(300)));
  });
  assert_in_range(watch.ms(), 300, 1500);
  assert_true(error.remedy == Remedy::reconnect);
  assert_holds(error.text, "no answer in time");
}

void test_open_obeys_stop(void**) {
  Silence silence;
  Stop stop;
  std::thread asker([&] {
    std::this_thread::sleep_for(milliseconds(100));
    stop.request();
  });
  Stopwatch watch;
  auto error = refusal([&] {
    pg::Connection::open({"host=127.0.0.1 sslmode=disable dbname=d user=u port=" + silence.port(), "", "t"}, soon(),
                         &stop);
  });
  asker.join();
  assert_in_range(watch.ms(), 90, 2000);
  assert_holds(error.text, "asked to stop");
}

void test_open_refused_tells_where_and_never_the_password(void**) {
  auto nobody = refusal([&] { pg::Connection::open({"postgresql://u:hunter2@127.0.0.1:1/d", "", "t"}, soon()); });
  assert_true(nobody.remedy == Remedy::reconnect);
  assert_holds(nobody.text, "database d on 127.0.0.1:1");
  assert_lacks(nobody.text, "hunter2");
  auto unknown = refusal([&] {
    pg::Connection::open({setting("MUSKRAT_TEST_PG_DSN") + " dbname=nowhere", "", "t"}, soon());
  });
  assert_true(unknown.remedy == Remedy::reconnect);
  assert_holds(unknown.text, "\"nowhere\" does not exist");
}

void test_open_with_a_broken_dsn_may_be_tried_again_and_quotes_nothing(void**) {
  for (const char* dsn : {"host=x password=hunter2 oops", "postgresql://u:hunter2@[::1", "passwrd=hunter2"}) {
    for (const auto& action : {std::function<void()>([&] {
                                 pg::Connection::open({dsn, "", "t"}, soon());
                               }),
                               std::function<void()>([&] { pg::check_dsn(dsn); })}) {
      auto error = refusal(action);
      assert_true(error.remedy == Remedy::reconnect);
      assert_lacks(error.text, "hunter2");
      assert_holds(error.text, "cannot be parsed");
    }
  }
}

void test_open_beyond_this_machine_insists_on_tls(void**) {
  // Linux connects 0.0.0.0 to this machine, but it is none of the names of loopback; the test's server has no TLS.
  auto abroad = setting("MUSKRAT_TEST_PG_DSN") + " host=0.0.0.0";
  auto error = refusal([&] { pg::Connection::open({abroad, "", "t"}, soon()); });
  assert_holds(error.text, "SSL was required");
  // Nobody has asked for it, so the remedy is ours to say.
  assert_holds(error.text, "TLS is verified beyond this machine where the DSN says nothing else");
  auto asked = refusal([&] { pg::Connection::open({abroad + " sslmode=verify-full", "", "t"}, soon()); });
  assert_lacks(asked.text, "beyond this machine");
  auto closed = refusal([&] { pg::Connection::open({"host=0.0.0.0 port=1 dbname=d user=u", "", "t"}, soon()); });
  assert_lacks(closed.text, "beyond this machine");
  auto db = pg::Connection::open({abroad + " sslmode=disable", "", "t"}, soon());
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

int user_timeout(const pg::Connection& db) {
  int ms = 0;
  socklen_t size = sizeof ms;
  assert_int_equal(getsockopt(db.socket(), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &size), 0);
  return ms;
}

void test_open_gives_a_busy_server_as_long_as_a_statement_may_take(void**) {
  pg::Address address{setting("MUSKRAT_TEST_PG_DSN"), "", "t"};
  assert_int_equal(user_timeout(pg::Connection::open(address, soon())), 30'000);
  address.longest_statement = milliseconds(5'000);
  assert_int_equal(user_timeout(pg::Connection::open(address, soon())), 30'000);
  address.longest_statement = milliseconds(300'000);
  assert_int_equal(user_timeout(pg::Connection::open(address, soon())), 300'000);
  address.dsn += " tcp_user_timeout=7000";
  assert_int_equal(user_timeout(pg::Connection::open(address, soon())), 7'000);
}

void test_quoting_resists_injection(void**) {
  auto db = connect();
  assert_text(db.quote_identifier("a\"b"), "\"a\"\"b\"");
  assert_text(db.quote_literal("it's"), "'it''s'");
  assert_holds(refusal([&] { (void)db.quote_literal("\xff"); }).text, "not valid UTF-8");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_exec_with_parameters_returns_typed_values),
      checked(test_exec_of_several_statements_returns_the_last),
      checked(test_exec_prepared_is_prepared_once_and_survives_deallocation),
      checked(test_exec_prepared_after_the_table_changed_shape_is_prepared_anew),
      checked(test_large_text_goes_both_ways),
      checked(test_text_with_nul_is_refused_before_it_is_sent),
      checked(test_sql_error_names_the_constraint_and_never_quotes_the_row),
      checked(test_sql_error_keeps_hint_and_says_what_may_pass),
      checked(test_sql_error_in_a_transaction_is_seen_and_rolled_back),
      checked(test_warnings_are_counted_and_notices_are_not),
      checked(test_stream_hands_over_every_row),
      checked(test_stream_refused_in_the_middle_throws_and_leaves_the_connection),
      checked(test_stream_whose_reader_throws_spoils_the_connection),
      checked(test_pipeline_answers_each_statement_in_place),
      checked(test_pipeline_with_a_refused_statement_undoes_all_and_throws),
      checked(test_pipeline_whose_commit_is_refused_throws),
      checked(test_pipeline_prepares_what_is_repeated_once),
      checked(test_pipeline_prepares_no_more_than_the_server_should_keep),
      checked(test_pipeline_whose_prepared_statements_are_gone_works_the_next_time),
      checked(test_prepared_names_of_two_connections_differ),
      checked(test_pipeline_plans_anew_now_and_then_when_told),
      checked(test_pipeline_refused_keeps_what_it_prepared),
      checked(test_pipeline_larger_than_every_buffer_does_not_lock_up),
      checked(test_copy_in_takes_rows_and_tells_how_many),
      checked(test_copy_out_hands_over_every_row_in_binary),
      checked(test_copy_out_refused_at_its_start_or_in_the_middle_leaves_the_connection),
      checked(test_copy_out_whose_reader_throws_or_whose_time_is_over_spoils_the_connection),
      checked(test_answer_of_a_statement_that_was_sent_is_received_later),
      checked(test_deadline_passed_spoils_the_connection_and_cancels_the_statement),
      checked(test_backend_terminated_while_idle_is_noticed_at_the_next_read),
      checked(test_backend_terminated_in_a_statement_is_a_lost_connection_not_an_sql_error),
      checked(test_notifications_arrive_without_waiting),
      checked(test_open_reports_place_version_and_encoding),
      checked(test_open_on_a_silent_port_gives_up_at_the_deadline),
      checked(test_open_obeys_stop),
      checked(test_open_refused_tells_where_and_never_the_password),
      checked(test_open_with_a_broken_dsn_may_be_tried_again_and_quotes_nothing),
      checked(test_open_beyond_this_machine_insists_on_tls),
      checked(test_open_gives_a_busy_server_as_long_as_a_statement_may_take),
      checked(test_quoting_resists_injection),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

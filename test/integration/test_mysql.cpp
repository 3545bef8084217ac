// The libmariadb wrapper against a MariaDB server.
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mysql.hpp"
#include "relay/sources/mysql_outbox_db.hpp"
#include "test/integration/server.hpp"

using namespace muskrat;
using muskrat::integration::setting;
using muskrat::integration::Stopwatch;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

Deadline soon() { return Deadline::in(std::chrono::seconds(10)); }

mysql::Connection connect() { return mysql::Connection::open({setting("MUSKRAT_TEST_MYSQL_DSN"), "", "test"}, soon()); }

struct Refusal {
  std::string text, constraint, column;
  int code = 0;
  Remedy remedy = Remedy::stop;
  bool sql = false, transient = false;
};

template <typename Act>
Refusal refusal(Act act) {
  try {
    act();
  } catch (const mysql::SqlError& e) {
    return {e.what(), e.constraint(), e.column(), e.code(), e.remedy(), true, e.transient()};
  } catch (const Failure& e) {
    return {e.what(), "", "", 0, e.remedy(), false, false};
  }
  fail_msg("nothing was refused");
  return {};
}

// ---- statements ----

void test_exec_with_parameters_returns_them_as_they_are(void**) {
  auto db = connect();
  std::string text("it's a \"quoted\" \\ `name` ? ü \n \0 end", 37);
  mysql::Param params[] = {text, std::nullopt, INT64_MAX, "7"};
  auto result = db.exec("SELECT ?, ?, ?, ? + 0, '?', \"?\", 1 AS `?` /* ? */ -- ?\n", params, soon());
  assert_int_equal(result.rows(), 1);
  assert_int_equal(result.columns(), 7);
  assert_text(result.text(0, 0), text);
  assert_true(result.null(0, 1));
  assert_true(result.int64(0, 2) == INT64_MAX);
  assert_text(result.text(0, 4), "?");
  assert_text(result.text(0, 5), "?");
  assert_holds(refusal([&] { result.int64(0, 0); }).text, "holds no integer");
}

// As a leader does that freezes between two statements: its stand-by waits for the row, and not for a minute.
void test_session_of_the_relay_that_freezes_in_a_transaction_gives_its_locks_up(void**) {
  auto other = connect();
  other.exec("CREATE OR REPLACE TABLE lease (id int PRIMARY KEY, beat int) ENGINE = InnoDB", soon());
  other.exec("INSERT INTO lease VALUES (1, 1)", soon());
  auto frozen = mysql_outbox::Db::open({setting("MUSKRAT_TEST_MYSQL_DSN"), "", "test"}, std::chrono::seconds(2));
  frozen.connection().exec("START TRANSACTION", soon());
  frozen.connection().exec("UPDATE lease SET beat = 2", soon());
  other.exec("SET SESSION innodb_lock_wait_timeout = 30", soon());
  const auto patient = Deadline::in(std::chrono::seconds(40));
  other.exec("UPDATE lease SET beat = 10", patient);
  assert_text(other.exec("SELECT beat FROM lease", soon()).text(0, 0), "10");
  other.exec("DROP TABLE lease", soon());
}

// ---- streams ----

const char* const many = "SELECT seq, REPEAT('x', 200), NULL FROM seq_1_to_100000";

void test_stream_reads_rows_in_parts_and_the_connection_goes_on(void**) {
  auto db = connect();
  db.stream("SELECT seq, 'text', NULL FROM seq_1_to_5", {}, soon());
  auto first = db.next_rows(3, soon());
  auto rest = db.next_rows(3, soon());
  assert_int_equal(first.rows(), 3);
  assert_int_equal(rest.rows(), 2);
  assert_int_equal(first.int64(2, 0), 3);  // the first part outlives the second
  assert_text(rest.text(1, 0), "5");
  assert_text(rest.text(1, 1), "text");
  assert_true(rest.null(1, 2));
  assert_int_equal(db.next_rows(3, soon()).rows(), 0);
  assert_text(db.exec("SELECT 'more'", soon()).text(0, 0), "more");
}

void test_stream_that_is_left_unread_does_not_hold_up_the_end(void**) {
  Stopwatch watch;
  {
    auto db = connect();
    db.stream(many, {}, soon());
    assert_int_equal(db.next_rows(10, soon()).rows(), 10);
  }
  assert_true(watch.ms() < 5000);
}

void test_stream_that_fails_on_its_way_says_so(void**) {
  auto db = connect();
  db.exec("SET SESSION max_statement_time = 0.5", soon());
  const Refusal refused = refusal([&] {
    db.stream("SELECT seq, SLEEP(0.1) FROM seq_1_to_100", {}, soon());
    while (db.next_rows(1, soon()).rows() > 0) {
    }
  });
  assert_true(refused.sql);
  assert_int_equal(refused.code, 1969);
  assert_text(db.exec("SELECT 'more'", soon()).text(0, 0), "more");
}

void test_columns_tell_what_they_hold(void**) {
  auto db = connect();
  db.exec(
      "CREATE TEMPORARY TABLE kinds (a TINYINT(1), b INT, c DECIMAL(4,2), d BIT(6), e TIMESTAMP NULL, f JSON, g BLOB, "
      "h "
      "VARCHAR(9), i UUID)",
      soon());
  const auto rows = db.exec("SELECT * FROM kinds", soon());
  using Kind = mysql::Column::Kind;
  const Kind expected[] = {Kind::boolean, Kind::integer, Kind::decimal, Kind::bits, Kind::timestamp,
                           Kind::json,    Kind::bytes,   Kind::text,    Kind::text};
  for (int i = 0; i < rows.columns(); ++i) assert_true(rows.column(i).kind == expected[i]);
  assert_int_equal(rows.column(3).bits, 6);
  assert_text(rows.column(8).name, "i");
}

void test_attended_connection_beats_while_it_waits_and_ends_when_asked_to_stop(void**) {
  auto db = connect();
  Stop stop;
  int beats = 0;
  db.attend(stop, [&] {
    if (++beats == 2) stop.request();
  });
  assert_holds(refusal([&] { db.exec("SELECT SLEEP(30)", Deadline::in(std::chrono::seconds(40))); }).text,
               "asked to stop");
  assert_int_equal(beats, 2);
}

void test_session_is_pinned_whatever_the_server_defaults_to(void**) {
  auto db = connect();
  auto row = db.exec(
      "SELECT @@session.time_zone, @@character_set_connection, @@session.autocommit, @@sql_mode LIKE '%ANSI_QUOTES%', "
      "@@sql_mode LIKE '%STRICT%'",
      soon());
  assert_text(row.text(0, 0), "+00:00");
  assert_text(row.text(0, 1), "utf8mb4");
  assert_text(row.text(0, 2), "1");
  assert_text(row.text(0, 3), "0");
  assert_text(row.text(0, 4), "1");
  assert_true(db.mariadb());
  assert_true(db.server_version() > 100'000);
}

void test_several_statements_stop_at_the_first_refused(void**) {
  auto db = connect();
  db.exec("CREATE TEMPORARY TABLE several (a INT PRIMARY KEY)", soon());
  auto results =
      db.exec_all("INSERT INTO several VALUES (1), (2); SELECT a FROM several; DELETE FROM several", {}, soon());
  assert_int_equal(results.size(), 3);
  assert_true(results[0].affected() == 2);
  assert_int_equal(results[1].rows(), 2);
  assert_true(results[2].affected() == 2);
  auto refused = refusal(
      [&] { db.exec("INSERT INTO several VALUES (5); SELECT nothing FROM several; DELETE FROM several", soon()); });
  assert_true(refused.sql);
  assert_int_equal(refused.code, 1054);
  assert_int_equal(db.exec("SELECT a FROM several", soon()).rows(), 1);
}

void test_affected_counts_rows_that_match_unchanged(void**) {
  auto db = connect();
  db.exec("CREATE TEMPORARY TABLE matched (a INT); INSERT INTO matched VALUES (1)", soon());
  assert_true(db.exec("UPDATE matched SET a = 1", soon()).affected() == 1);
  assert_false(db.in_transaction());
  db.exec("START TRANSACTION", soon());
  db.exec("SELECT 1", soon());
  assert_true(db.in_transaction());
}

// ---- errors ----

void test_error_keeps_names_and_drops_values(void**) {
  auto db = connect();
  db.exec("CREATE TEMPORARY TABLE secret (mail VARCHAR(40) PRIMARY KEY, age INT)", soon());
  db.exec("INSERT INTO secret VALUES ('o''hara@example.com', 1)", soon());
  auto twice = refusal([&] { db.exec("INSERT INTO secret VALUES ('o''hara@example.com', 2)", soon()); });
  assert_int_equal(twice.code, 1062);
  assert_lacks(twice.text, "hara");
  assert_holds(twice.constraint, "PRIMARY");
  auto typed = refusal([&] { db.exec("INSERT INTO secret VALUES ('x', 'verysecret')", soon()); });
  assert_int_equal(typed.code, 1366);
  assert_lacks(typed.text, "verysecret");
  assert_text(typed.column, "age");
  auto syntax = refusal([&] { db.exec("SELEKT 'verysecret'", soon()); });
  assert_lacks(syntax.text, "verysecret");
  assert_true(syntax.remedy == Remedy::stop);
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

void test_lock_wait_is_transient_and_leaves_the_connection_usable(void**) {
  auto one = connect(), two = connect();
  one.exec("CREATE OR REPLACE TABLE waited (a INT PRIMARY KEY); INSERT INTO waited VALUES (1)", soon());
  one.exec("START TRANSACTION; UPDATE waited SET a = 2", soon());
  auto refused =
      refusal([&] { two.exec("SET SESSION innodb_lock_wait_timeout = 1; UPDATE waited SET a = 3", soon()); });
  assert_int_equal(refused.code, 1205);
  assert_true(refused.transient);
  assert_int_equal(two.exec("SELECT 1", soon()).rows(), 1);
  one.exec("ROLLBACK; DROP TABLE waited", soon());
}

void test_statement_past_its_deadline_spoils_the_connection(void**) {
  auto db = connect();
  Stopwatch watch;
  auto late = refusal([&] { db.exec("SELECT SLEEP(20)", Deadline::in(milliseconds(200))); });
  assert_true(watch.ms() < 5000);
  assert_holds(late.text, "no answer in time");
  assert_true(late.remedy == Remedy::reconnect);
  assert_holds(refusal([&] { db.exec("SELECT 1", soon()); }).text, "no longer usable");
}

void test_killed_session_is_a_lost_connection(void**) {
  auto db = connect(), other = connect();
  other.exec("KILL " + std::to_string(db.session_id()), soon());
  auto lost = refusal([&] {
    db.exec("SELECT 1", soon());
    db.exec("SELECT 1", soon());
  });
  assert_true(lost.remedy == Remedy::reconnect);
}

void test_statement_larger_than_the_server_takes_is_refused_before_it_is_sent(void**) {
  auto db = connect();
  std::string big(static_cast<size_t>(db.max_statement_bytes()) + 1, 'x');
  mysql::Param params[] = {big};
  assert_int_equal(refusal([&] { db.exec("SELECT length(?)", params, soon()); }).code, 1153);
  assert_int_equal(db.exec("SELECT 1", soon()).rows(), 1);
}

// ---- connecting ----

void test_refused_login_says_where_and_hides_the_password(void**) {
  auto dsn = setting("MUSKRAT_TEST_MYSQL_DSN");
  auto at = dsn.find("root@");
  auto other = dsn.replace(at, 5, "nobody_here@");
  auto refused = refusal([&] { mysql::Connection::open({other, "top-secret-word", "test"}, soon()); });
  assert_true(refused.remedy == Remedy::reconnect);
  assert_holds(refused.text, "1045");
  assert_holds(refused.text, "127.0.0.1");
  assert_lacks(refused.text, "top-secret-word");
}

void test_silent_server_is_given_up_at_the_deadline(void**) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  assert_int_equal(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  assert_int_equal(::listen(fd, 8), 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  auto dsn = "mysql://root@127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/x";
  Stopwatch watch;
  assert_holds(refusal([&] {
                 mysql::Connection::open({dsn, "", "test"}, Deadline::in(milliseconds(300)));
               }).text,
               "in time");
  Stop stop;
  std::thread asks([&] {
    std::this_thread::sleep_for(milliseconds(200));
    stop.request();
  });
  assert_holds(refusal([&] { mysql::Connection::open({dsn, "", "test"}, soon(), &stop); }).text, "asked to stop");
  asks.join();
  assert_true(watch.ms() < 8000);
  ::close(fd);
}

void test_tls_is_verified_with_the_chain_and_the_name(void**) {
  auto port = setting("MUSKRAT_TEST_MYSQL_PORT"), folder = setting("MUSKRAT_TEST_CERTIFICATES");
  auto dsn = [&](const char* host, const char* mode, const char* ca) {
    return "mysql://root@" + std::string(host) + ":" + port + "/mysql?ssl-mode=" + mode + "&ssl-ca=" + folder + "/" +
           ca;
  };
  auto good = mysql::Connection::open({dsn("localhost", "verify", "ca.pem"), "", "test"}, soon());
  assert_true(!good.exec("SHOW STATUS LIKE 'Ssl_cipher'", soon()).text(0, 1).empty());
  refusal([&] { mysql::Connection::open({dsn("localhost", "verify", "other-ca.pem"), "", "test"}, soon()); });
  // The same address under a name that is not the certificate's. Not "127.0.0.1": libmariadb 3.4 takes that for
  // localhost.
  refusal([&] { mysql::Connection::open({dsn("127.1", "verify", "ca.pem"), "", "test"}, soon()); });
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_exec_with_parameters_returns_them_as_they_are),
      checked(test_session_of_the_relay_that_freezes_in_a_transaction_gives_its_locks_up),
      checked(test_stream_reads_rows_in_parts_and_the_connection_goes_on),
      checked(test_stream_that_is_left_unread_does_not_hold_up_the_end),
      checked(test_stream_that_fails_on_its_way_says_so),
      checked(test_columns_tell_what_they_hold),
      checked(test_attended_connection_beats_while_it_waits_and_ends_when_asked_to_stop),
      checked(test_session_is_pinned_whatever_the_server_defaults_to),
      checked(test_several_statements_stop_at_the_first_refused),
      checked(test_affected_counts_rows_that_match_unchanged),
      checked(test_error_keeps_names_and_drops_values),
      checked(test_lock_wait_is_transient_and_leaves_the_connection_usable),
      checked(test_statement_past_its_deadline_spoils_the_connection),
      checked(test_killed_session_is_a_lost_connection),
      checked(test_statement_larger_than_the_server_takes_is_refused_before_it_is_sent),
      checked(test_refused_login_says_where_and_hides_the_password),
      checked(test_silent_server_is_given_up_at_the_deadline),
      checked(test_tls_is_verified_with_the_chain_and_the_name),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

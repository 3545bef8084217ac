// Db under synchronous_standby_names: what a commit that no standby confirms is told as, and that one whose wait was
// cancelled is never taken for confirmed.
#include <atomic>
#include <thread>

#include "relay/sources/postgres_outbox_db.hpp"
#include "test/integration/server.hpp"

using namespace muskrat;
using namespace muskrat::postgres_outbox;
using muskrat::integration::setting;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

constexpr milliseconds limit{30'000}, short_limit{200};

struct Server {
  pg::Address address{setting("MUSKRAT_TEST_PG_DSN"), "", "muskrat test"};
  pg::Connection admin = pg::Connection::open(address, Deadline::in(limit));
  Stop stop;

  Server() {
    run("SET client_min_messages = warning; DROP EXTENSION IF EXISTS muskrat CASCADE; DROP SCHEMA IF EXISTS muskrat "
        "CASCADE; CREATE EXTENSION muskrat");
  }
  ~Server() {
    try {
      run("ALTER SYSTEM RESET synchronous_standby_names");
      run("SELECT pg_reload_conf()");
      run("DROP EXTENSION muskrat CASCADE");  // which may wait for the checkpointer to see the reload
    } catch (const Failure&) {                // the next test begins with that
    }
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  pg::Result run(const std::string& sql) { return admin.exec(sql, Deadline::in(limit)); }
  // From now on each commit waits for a standby that there is not.
  void lose_the_standby() {
    run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    run("SELECT pg_reload_conf()");
    while (why_not([](Db& db) { db.commit_marker(); }).empty()) std::this_thread::sleep_for(milliseconds(5));
  }
  // What is said of a statement that takes longer than `short_limit`; "" = it did not.
  template <typename Act>
  std::string why_not(Act act) {
    try {
      Db db = Db::open(address, short_limit, stop);
      act(db);
    } catch (const Failure& failure) {
      return failure.what();
    }
    return "";
  }
};

int setup(void** state) {
  *state = new Server;
  return 0;
}
int teardown(void** state) {
  delete static_cast<Server*>(*state);
  return 0;
}
Server& server_of(void** state) { return *static_cast<Server*>(*state); }

void take_the_lease(Db& db) { db.lease_take({}, "test"); }

void test_db_commit_that_no_standby_confirms_in_time_names_the_standbys(void** state) {
  Server& server = server_of(state);
  server.lose_the_standby();
  const std::string said = "synchronous standbys do not confirm commits";
  assert_holds(server.why_not(take_the_lease), said);
  assert_holds(server.why_not([](Db& db) { db.commit_marker(); }), said);
  assert_text(server.why_not([](Db& db) { db.hello(); }), "");  // what only reads waits for nobody
}

void test_db_commit_that_waits_for_a_lock_names_no_standbys_where_there_are_none(void** state) {
  Server& server = server_of(state);
  server.run("BEGIN; LOCK TABLE muskrat.cursor");
  const std::string why = server.why_not(take_the_lease);
  server.run("ROLLBACK");
  assert_holds(why, "waits for a lock");
  assert_lacks(why, "standbys");
}

// Whoever cancels the relay's wait makes the marker visible and not replicated; the server says so in a WARNING, which
// a role may have switched off.
void test_db_marker_whose_wait_is_cancelled_is_not_replicated_whatever_the_session_hears(void** state) {
  Server& server = server_of(state);
  server.lose_the_standby();
  Db db = Db::open(server.address, limit, server.stop);
  const std::string pid = std::to_string(db.connection().backend_pid());
  for (const std::string level : {"notice", "error"}) {
    db.connection().exec("SET client_min_messages = " + level, Deadline::in(limit));
    std::atomic<bool> over = false;
    std::thread somebody([&] {
      for (; !over; std::this_thread::sleep_for(milliseconds(1)))
        server.run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid = " + pid);
    });
    const bool replicated = db.commit_marker();
    over = true;
    somebody.join();
    assert_false(replicated);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_db_commit_that_no_standby_confirms_in_time_names_the_standbys, setup, teardown),
      checked_with(test_db_commit_that_waits_for_a_lock_names_no_standbys_where_there_are_none, setup, teardown),
      checked_with(test_db_marker_whose_wait_is_cancelled_is_not_replicated_whatever_the_session_hears, setup,
                   teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

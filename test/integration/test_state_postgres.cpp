// The host's state database in PostgreSQL.
#include "common/pg.hpp"
#include "test/integration/server.hpp"
#include "test/unit/state_cases.hpp"

using namespace muskrat;
using namespace muskrat::unit;
using muskrat::integration::setting;

namespace {

std::string dsn() { return setting("MUSKRAT_TEST_PG_DSN"); }

int setup(void** state) {
  pg::Connection::open({dsn(), ""}, soon())
      .exec("SET client_min_messages = warning; DROP SCHEMA IF EXISTS muskrat_host CASCADE", soon());
  auto it = new StateFixture;
  it->open = [] { return state::open_postgres(dsn(), "", soon()); };
  it->store = it->open();
  *state = it;
  return 0;
}
int teardown(void** state) {
  delete static_cast<StateFixture*>(*state);
  return 0;
}

void test_state_database_that_is_gone_is_a_failure_that_reconnects(void** state) {
  StateFixture& it = state_of(state);
  pg::Connection::open({dsn(), ""}, soon())
      .exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'muskrat state'", soon());
  bool failed = false;
  try {
    mark(*it.store, "crm", "[1]", {1, 1});
  } catch (const Failure& failure) {
    failed = failure.remedy() == Remedy::reconnect;
  }
  assert_true(failed);
  it.store = it.open();
  mark(*it.store, "crm", "[1]", {1, 1});
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      MUSKRAT_STATE_CASES(setup, teardown),
      checked_with(test_state_database_that_is_gone_is_a_failure_that_reconnects, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

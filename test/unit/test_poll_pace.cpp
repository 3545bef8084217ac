// PollPace and PgSnapshot: the small pure parts of the postgres source.
#include "relay/poll_pace.hpp"
#include "relay/sources/pg_snapshot.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;

namespace {

SteadyTime at(int ms) { return SteadyTime{} + milliseconds(ms); }

int64_t pause_after_empty(PollPace& pace, bool expect_bell) {
  assert_int_equal(pace.empty(at(0)), expect_bell);
  return std::chrono::duration_cast<milliseconds>(pace.next() - at(0)).count();
}

void wait_in_vain(PollPace& pace) {
  for (int wait = 0; wait < 5; wait++) {
    assert_true(pace.waits_in_server());
    assert_int_equal(pause_after_empty(pace, false), 0);
  }
}

void test_poll_pace_quiet_source_sets_the_bell_and_looks_again_soon(void**) {
  PollPace pace(milliseconds(1000), true);
  wait_in_vain(pace);
  assert_int_equal(pause_after_empty(pace, true), 1);
  assert_false(pace.waits_in_server());
  for (int expected : {2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000})
    assert_int_equal(pause_after_empty(pace, false), expected);
}

void test_poll_pace_without_a_bell_polls_alone(void**) {
  PollPace pace(milliseconds(50), false);
  for (int expected : {1, 2, 4, 8, 16, 32, 50, 50}) assert_int_equal(pause_after_empty(pace, false), expected);
  assert_false(pace.waits_in_server());
}

void test_poll_pace_waits_in_the_database_again_after_an_event(void**) {
  PollPace pace(milliseconds(1000), true);
  for (int turn = 0; turn < 3; turn++) {
    wait_in_vain(pace);
    assert_int_equal(pause_after_empty(pace, true), 1);
    assert_int_equal(pause_after_empty(pace, false), 2);
    pace.rung(at(10));
    assert_true(pace.due(at(10)));
    pace.found(at(10), 1);
    assert_true(pace.due(at(10)));
  }
  pause_after_empty(pace, false);
  pace.found(at(20), 1);
  wait_in_vain(pace);  // counted anew
}

// One read a millisecond, each with so many events; whether they are to gather after them.
bool gathers_after(PollPace& pace, int from, int reads, size_t events) {
  for (int n = 0; n < reads; n++) pace.found(at(from + n), events);
  return pace.gather() > microseconds(0);
}

void test_poll_pace_lets_events_gather_where_they_come_thick(void**) {
  PollPace pace(milliseconds(1000), true);
  assert_false(gathers_after(pace, 100, 20, 1));
  assert_false(gathers_after(pace, 200, 20, 4));
  assert_true(gathers_after(pace, 300, 20, 5));
  assert_true(pace.gather() <= milliseconds(1));
  assert_false(gathers_after(pace, 400, 20, 1));
  assert_true(gathers_after(pace, 500, 20, 50));
  pace.empty(at(521));
  assert_true(pace.gather() == microseconds(0));
  // One transaction of many events is no load.
  assert_false(gathers_after(pace, 1600, 1, 1000));
}

void test_pg_snapshot_with_running_transactions_parses(void**) {
  PgSnapshot s = PgSnapshot::parse("760:765:761,763");
  assert_int_equal(s.xmin, 760);
  assert_int_equal(s.xmax, 765);
  unit::assert_text(s.running, "{761,763}");
  unit::assert_text(PgSnapshot::parse("8589934593:8589934593:").running, "{}");
  assert_int_equal(PgSnapshot::parse("8589934593:8589934593:").xmax, 8589934593);
}

void test_pg_snapshot_of_nonsense_fails(void**) {
  bool failed = false;
  try {
    PgSnapshot::parse("12");
  } catch (const Failure&) {
    failed = true;
  }
  assert_true(failed);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_poll_pace_quiet_source_sets_the_bell_and_looks_again_soon),
      checked(test_poll_pace_without_a_bell_polls_alone),
      checked(test_poll_pace_waits_in_the_database_again_after_an_event),
      checked(test_poll_pace_lets_events_gather_where_they_come_thick),
      checked(test_pg_snapshot_with_running_transactions_parses),
      checked(test_pg_snapshot_of_nonsense_fails),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

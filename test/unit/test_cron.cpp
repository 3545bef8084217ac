// Cron and RunTimes: when a scheduled source is due, whatever the clocks do.
#include <chrono>
#include <set>

#include "common/config.hpp"
#include "common/utc_text.hpp"
#include "relay/scheduled/cron.hpp"
#include "relay/scheduled/run_times.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using unit::assert_text;

namespace {

int64_t utc(int year, unsigned month, unsigned date, int hours = 0, int minutes = 0) {
  using namespace std::chrono;
  const sys_days days{std::chrono::year(year) / month / date};
  return duration_cast<microseconds>(days.time_since_epoch() + std::chrono::hours(hours) +
                                     std::chrono::minutes(minutes))
      .count();
}

std::string after(const char* text, int64_t us, const char* zone = "UTC") {
  std::string why;
  const auto cron = Cron::parse(text, why);
  if (!cron) return why;
  const auto found = cron->after(us, *TimeZone::find(zone));
  return found ? utc_text(*found) : "never";
}

void test_cron_lists_ranges_steps_and_names_are_read(void**) {
  const int64_t wednesday = utc(2026, 11, 25, 12);
  assert_text(after("*/15 * * * *", wednesday), "2026-11-25T12:15:00Z");
  assert_text(after("5,50 9-17/4 * * *", wednesday), "2026-11-25T13:05:00Z");
  assert_text(after("0 6 * * Mon-Fri", utc(2026, 11, 27, 7)), "2026-11-30T06:00:00Z");
  assert_text(after("0 0 * * 7", wednesday), "2026-11-29T00:00:00Z");
  assert_text(after("0 0 1 jan *", wednesday), "2027-01-01T00:00:00Z");
}

void test_cron_with_both_days_restricted_takes_either(void**) {
  assert_text(after("0 0 13 * fri", utc(2026, 11, 25)), "2026-11-27T00:00:00Z");
  assert_text(after("0 0 13 * fri", utc(2026, 12, 11, 1)), "2026-12-13T00:00:00Z");
}

void test_cron_29_february_comes_and_30_february_never_does(void**) {
  assert_text(after("0 0 29 2 *", utc(2097, 1, 1)), "2104-02-29T00:00:00Z");
  assert_text(after("0 0 30 2 *", utc(2026, 1, 1)), "never");
  assert_text(after("0 0 31 4,6 *", utc(2026, 1, 1)), "never");
}

// 2026-03-08 in Chicago: 01:59 CST is followed by 03:00 CDT, 08:00 UTC.
void test_cron_time_that_clocks_pass_over_is_due_once_they_have(void**) {
  assert_text(after("30 2 * * *", utc(2026, 3, 8, 7), "America/Chicago"), "2026-03-08T08:00:00Z");
  assert_text(after("30 2 * * *", utc(2026, 3, 8, 8), "America/Chicago"), "2026-03-09T07:30:00Z");
  assert_text(after("30 * * * *", utc(2026, 3, 8, 7, 30), "America/Chicago"), "2026-03-08T08:30:00Z");
}

// 2026-11-01 in Chicago: 01:59 CDT is followed by 01:00 CST, 07:00 UTC.
void test_cron_time_that_comes_twice_is_due_once_unless_hourly(void**) {
  assert_text(after("30 1 * * *", utc(2026, 11, 1, 5), "America/Chicago"), "2026-11-01T06:30:00Z");
  assert_text(after("30 1 * * *", utc(2026, 11, 1, 6, 30), "America/Chicago"), "2026-11-02T07:30:00Z");
  assert_text(after("30 * * * *", utc(2026, 11, 1, 6, 30), "America/Chicago"), "2026-11-01T07:30:00Z");
}

void test_cron_that_is_none_says_which_field(void**) {
  unit::assert_holds(after("60 * * * *", 0), "\"60\" is no minute; give 0 to 59");
  unit::assert_holds(after("* * * *", 0), "this one has 4");
  for (const char* text : {"* * * * mondy", "*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "1- * * * *", "* * 0 * *"})
    unit::assert_holds(after(text, 0), " is no ");
}

RunTimes schedule(const std::string& yaml, const std::string& name = "billing") {
  std::vector<Problem> problems;
  const Settings settings = parse_settings(run_times_options(), yaml, "x.yaml", problems);
  return RunTimes(settings, name);
}

void test_schedule_missed_runs_are_one_in_the_past(void**) {
  const int64_t now = utc(2026, 11, 25, 12);
  assert_true(schedule("every: 1h").next(now - utc(1970, 1, 3), 0, now) < now);
  assert_int_equal(schedule("every: 1h").next(now, 0, now), utc(2026, 11, 25, 13));
}

void test_schedule_clock_set_back_does_not_wait_for_what_it_was(void**) {
  const int64_t now = utc(2026, 11, 25, 12);
  assert_int_equal(schedule("every: 1h").next(utc(2027, 1, 1), 0, now), utc(2026, 11, 25, 13));
  assert_int_equal(schedule("cron: 0 13 * * *").next(utc(2027, 1, 1), 0, now), utc(2026, 11, 25, 13));
}

void test_schedule_jitter_is_within_its_bounds_the_same_for_one_run_and_another_for_others(void**) {
  const std::string yaml = "cron: 0 13 * * *\njitter: 10m";
  std::set<int64_t> delays;
  for (int day = 1; day <= 20; ++day) {
    const int64_t begun = utc(2026, 11, day, 12), due = utc(2026, 11, day, 13);
    const int64_t next = schedule(yaml).next(begun, 0, begun);
    assert_int_equal(schedule(yaml).next(begun - 1, 0, begun), next);
    assert_in_range(next - due, 0, int64_t{10} * 60 * 1'000'000);
    assert_true(schedule(yaml, "other").next(begun, 0, begun) != next);
    delays.insert(next - due);
  }
  assert_int_equal(delays.size(), 20);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_cron_lists_ranges_steps_and_names_are_read),
      checked(test_cron_with_both_days_restricted_takes_either),
      checked(test_cron_29_february_comes_and_30_february_never_does),
      checked(test_cron_time_that_clocks_pass_over_is_due_once_they_have),
      checked(test_cron_time_that_comes_twice_is_due_once_unless_hourly),
      checked(test_cron_that_is_none_says_which_field),
      checked(test_schedule_missed_runs_are_one_in_the_past),
      checked(test_schedule_clock_set_back_does_not_wait_for_what_it_was),
      checked(test_schedule_jitter_is_within_its_bounds_the_same_for_one_run_and_another_for_others),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

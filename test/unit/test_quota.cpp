// Quotas: the days of time zones, spans of hours, clocks that jump; and the count in the state database.
#include <chrono>

#include "common/utc_text.hpp"
#include "consumer/limits/quota_book.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;
using limits::Quota;
using limits::QuotaBook;
using limits::Spent;
using limits::Unit;

namespace {

constexpr int64_t minute = int64_t{60} * 1'000'000, hour = 60 * minute, day = 24 * hour;

// Microseconds since 1970 of a time in UTC.
int64_t utc(int year, unsigned month, unsigned date, int hours = 0, int minutes = 0) {
  using namespace std::chrono;
  const sys_days days{std::chrono::year(year) / month / date};
  return duration_cast<microseconds>(days.time_since_epoch()).count() + hours * hour + minutes * minute;
}

TimeZone zone(const char* name) { return *TimeZone::find(name); }
Quota per_day(int64_t count, const char* name = "UTC") {
  return {{count, Unit::calls, milliseconds(0)}, zone(name), name};
}
Quota per(std::chrono::hours span, int64_t count) { return {{count, Unit::calls, span}, zone("UTC"), "UTC"}; }

void test_time_zone_day_begins_at_its_own_midnight(void**) {
  const TimeZone chicago = zone("America/Chicago");
  assert_text(utc_text(chicago.day_begin(utc(2026, 11, 25, 5, 59))), "2026-11-24T06:00:00Z");
  assert_text(utc_text(chicago.day_begin(utc(2026, 11, 25, 6))), "2026-11-25T06:00:00Z");
  assert_text(utc_text(chicago.next_day_begin(utc(2026, 11, 25, 6))), "2026-11-26T06:00:00Z");
  assert_text(utc_text(zone("Asia/Kathmandu").day_begin(utc(2026, 11, 25, 18, 30))), "2026-11-25T18:15:00Z");
}

void test_time_zone_day_may_be_23_or_25_hours_long(void**) {
  const TimeZone chicago = zone("America/Chicago");
  assert_int_equal(chicago.next_day_begin(utc(2026, 3, 8, 12)) - chicago.day_begin(utc(2026, 3, 8, 12)), 23 * hour);
  assert_int_equal(chicago.next_day_begin(utc(2026, 11, 1, 12)) - chicago.day_begin(utc(2026, 11, 1, 12)), 25 * hour);
}

// Midnight itself was skipped on 2018-11-04 in Sao Paulo: the day began at one o'clock.
void test_time_zone_day_without_a_midnight_begins_at_its_first_instant(void**) {
  assert_text(utc_text(zone("America/Sao_Paulo").day_begin(utc(2018, 11, 4, 12))), "2018-11-04T03:00:00Z");
}

void test_time_zone_that_nobody_knows_is_none(void**) {
  for (const char* name : {"", "Mars/Olympus", "../../etc/passwd", "/etc/passwd"})
    assert_false(TimeZone::find(name).has_value());
}

void test_quota_per_day_counts_its_zones_day_alone(void**) {
  const Quota quota = per_day(100, "America/Chicago");
  const int64_t now = utc(2026, 11, 25, 12);
  const std::vector<Spent> spent{
      {utc(2026, 11, 25, 5, 45), 40}, {utc(2026, 11, 25, 6), 60}, {utc(2026, 11, 25, 11, 45), 39}};
  assert_int_equal(quota.used(spent, now), 99);
  assert_true(quota.opens_at(spent, 1, now) == now);
  assert_text(utc_text(quota.opens_at(spent, 2, now)), "2026-11-26T06:00:00Z");
  assert_int_equal(quota.used(spent, utc(2026, 11, 26, 6)), 0);
  assert_text(quota.text(), "the quota of 100 calls per day (America/Chicago)");
}

void test_quota_per_hours_opens_when_enough_has_left_the_span(void**) {
  const Quota quota = per(std::chrono::hours(24), 100);
  const int64_t now = utc(2026, 11, 25, 12);
  const std::vector<Spent> spent{{now - 23 * hour, 30}, {now - 2 * hour, 70}, {now - 25 * hour, 500}};
  assert_int_equal(quota.used(spent, now), 100);
  assert_true(quota.opens_at(spent, 30, now) == now + hour + 15 * minute);
  assert_true(quota.opens_at(spent, 31, now) == now + 22 * hour + 15 * minute);
  assert_int_equal(quota.used(spent, quota.opens_at(spent, 30, now)), 70);
}

// Whatever was counted while the clock was wrong: nothing is burnt beyond one day or span, and no more than one quota
// is granted anew.
void test_quota_clock_that_jumped_costs_a_bounded_error(void**) {
  const int64_t now = utc(2026, 11, 25, 12);
  for (const Quota& quota : {per_day(100), per(std::chrono::hours(24), 100)}) {
    const std::vector<Spent> week_ahead{{quota.slot_of(now + 7 * day), 100}};
    assert_int_equal(quota.used(week_ahead, now), 0);  // it was set back: the week is not lost
    const std::vector<Spent> little_ahead{{quota.slot_of(now + 3 * hour), 100}};
    assert_int_equal(quota.used(little_ahead, now), 100);  // set back a little: nothing is granted twice
    assert_true(quota.opens_at(little_ahead, 1, now) <= now + 2 * day);
    const std::vector<Spent> before{{quota.slot_of(now), 100}};
    assert_int_equal(quota.used(before, now + 2 * day), 0);  // ahead: one quota, and then that one is counted
  }
}

// ---- the book ----

struct Fixture {
  Folder folder;
  Settings consumer;
  std::optional<QuotaBook> book;

  void open(const Quota& quota) { book.emplace("crm", quota, consumer); }
  int64_t stored() const {
    int64_t sum = 0;
    for (const Spent& each : state::open_sqlite(folder / "state.sqlite")->spent("crm", soon())) sum += each.amount;
    return sum;
  }
};
Fixture& fixture(void** state) { return *static_cast<Fixture*>(*state); }
int setup(void** state) {
  auto* it = new Fixture;
  std::vector<Problem> problems;
  it->consumer = parse_settings(consumer_options(), "state: " + (it->folder / "state.sqlite"), "test", problems);
  *state = it;
  return problems.empty() ? 0 : 1;
}
int teardown(void** state) {
  delete static_cast<Fixture*>(*state);
  return 0;
}

void test_quota_book_lets_exactly_the_quota_through(void** state) {
  Fixture& it = fixture(state);
  it.open(per_day(2500));
  const int64_t now = utc(2026, 11, 25, 12);
  for (int i = 0; i < 2500; ++i) assert_false(it.book->take(1, now + i).has_value());
  assert_int_equal(it.book->used(now), 2500);
  const auto opens = it.book->take(1, now + 3000);
  assert_true(opens == utc(2026, 11, 26));
  assert_true(it.book->out_until(now + 3000) == utc(2026, 11, 26));
  assert_false(it.book->out_until(utc(2026, 11, 26)).has_value());
  assert_false(it.book->out_until(now).has_value());  // the clock was set back: asked anew
  assert_false(it.book->take(1, utc(2026, 11, 26)).has_value());
  assert_int_equal(it.stored(), 2);  // a portion of the new day; the old day is forgotten
}

void test_quota_book_survives_a_kill_and_counts_at_most_a_portion_more(void** state) {
  Fixture& it = fixture(state);
  const int64_t now = utc(2026, 11, 25, 12);
  it.open(per_day(5000));
  for (int i = 0; i < 7; ++i) it.book->take(1, now);
  assert_int_equal(it.book->used(now), 7);
  assert_int_equal(it.stored(), 10);  // what the next life of a killed host would find
  it.book.reset();
  assert_int_equal(it.stored(), 7);  // a clean stop gives back the rest of the portion
  it.open(per_day(5000));
  it.book->look(now);
  assert_int_equal(it.book->used(now), 7);
}

void test_quota_book_of_records_refuses_a_batch_that_does_not_fit(void** state) {
  Fixture& it = fixture(state);
  it.open(per_day(100));
  const int64_t now = utc(2026, 11, 25, 12);
  assert_false(it.book->take(60, now).has_value());
  assert_true(it.book->take(60, now) == utc(2026, 11, 26));
  assert_false(it.book->take(40, now).has_value());
  assert_int_equal(it.stored(), 100);
}

void test_quota_book_portion_ends_with_its_slot(void** state) {
  Fixture& it = fixture(state);
  it.open(per(std::chrono::hours(24), 10'000));
  const int64_t now = utc(2026, 11, 25, 12);
  it.book->take(1, now);
  assert_int_equal(it.stored(), 10);
  it.book->take(1, now + hour);
  assert_int_equal(it.stored(), 11);
}

void test_quota_book_without_its_database_lets_nothing_through(void** state) {
  Fixture& it = fixture(state);
  std::filesystem::create_directory(it.folder / "state.sqlite");
  it.open(per_day(100));
  try {
    it.book->take(1, utc(2026, 11, 25));
    fail_msg("it was let through uncounted");
  } catch (const Failure& failure) {
    assert_true(failure.remedy() == Remedy::reconnect);
    assert_holds(failure.what(), "the quota of 100 calls per day (UTC) cannot be counted: ");
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_time_zone_day_begins_at_its_own_midnight),
      checked(test_time_zone_day_may_be_23_or_25_hours_long),
      checked(test_time_zone_day_without_a_midnight_begins_at_its_first_instant),
      checked(test_time_zone_that_nobody_knows_is_none),
      checked(test_quota_per_day_counts_its_zones_day_alone),
      checked(test_quota_per_hours_opens_when_enough_has_left_the_span),
      checked(test_quota_clock_that_jumped_costs_a_bounded_error),
      checked_with(test_quota_book_lets_exactly_the_quota_through, setup, teardown),
      checked_with(test_quota_book_survives_a_kill_and_counts_at_most_a_portion_more, setup, teardown),
      checked_with(test_quota_book_of_records_refuses_a_batch_that_does_not_fit, setup, teardown),
      checked_with(test_quota_book_portion_ends_with_its_slot, setup, teardown),
      checked_with(test_quota_book_without_its_database_lets_nothing_through, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

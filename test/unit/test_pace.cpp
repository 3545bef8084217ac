// --rate: what it takes, and how long it makes a verb wait. The command line is not part of the library, so its source
// is taken in here.
#include "cli/pace.cpp"  // NOLINT(bugprone-suspicious-include)
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;

namespace {

void test_rate_of_takes_a_number_with_or_without_its_unit(void**) {
  assert_int_equal(cli::rate_of("500/s", "rows"), 500);
  assert_int_equal(cli::rate_of("1", "rows"), 1);
  assert_int_equal(cli::rate_of("999999999", "rows"), 999'999'999);
  assert_int_equal(cli::rate_of("max", "rows"), 0);
}

void test_rate_of_what_is_no_rate_is_refused_and_says_of_what(void**) {
  for (const std::string text : {"", "/s", "0", "0/s", "-5", "1.5/s", "5 /s", "500/m", "fast", "1000000000", " 5"}) {
    std::string why;
    try {
      cli::rate_of(text, "events");
    } catch (const cli::UsageError& error) {
      why = error.what();
    }
    assert_holds(why, "--rate " + text + " is no number of events a second");
  }
}

milliseconds since(SteadyTime began) {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
}

// Each of these is told to do more than its rate allows; none may come back sooner.
void test_pace_never_goes_faster_than_its_rate(void**) {
  const Stop stop;
  const SteadyTime began = std::chrono::steady_clock::now();
  cli::Pace pace(1000, stop);
  for (int i = 0; i < 10; ++i) pace.done(20);
  assert_true(since(began) >= milliseconds(195));
}

void test_pace_without_a_rate_does_not_wait(void**) {
  const Stop stop;
  const SteadyTime began = std::chrono::steady_clock::now();
  cli::Pace(0, stop).done(1'000'000'000);
  assert_true(since(began) < std::chrono::seconds(60));
}

void test_pace_ends_its_wait_when_a_stop_is_requested(void**) {
  Stop stop;
  stop.request();
  const SteadyTime began = std::chrono::steady_clock::now();
  cli::Pace(1, stop).done(3600);
  assert_true(since(began) < std::chrono::seconds(60));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_rate_of_takes_a_number_with_or_without_its_unit),
      checked(test_rate_of_what_is_no_rate_is_refused_and_says_of_what),
      checked(test_pace_never_goes_faster_than_its_rate),
      checked(test_pace_without_a_rate_does_not_wait),
      checked(test_pace_ends_its_wait_when_a_stop_is_requested),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// Backoff: growth, jitter, bounds.
#include <set>

#include "common/backoff.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;

namespace {

void test_backoff_doubles_within_its_jitter_up_to_the_most(void**) {
  for (int round = 0; round < 200; ++round) {
    Backoff backoff(milliseconds(100), milliseconds(1000));
    for (int step : {100, 200, 400, 800, 1000, 1000, 1000}) {
      auto wait = backoff.next().count();
      assert_in_range(wait, step / 2, step);
    }
  }
}

void test_backoff_reset_begins_anew(void**) {
  Backoff backoff(milliseconds(100), milliseconds(60'000));
  for (int i = 0; i < 20; ++i) backoff.next();
  assert_true(backoff.next().count() >= 30'000);
  backoff.reset();
  assert_true(backoff.next().count() <= 100);
}

void test_backoff_of_many_clients_spreads(void**) {
  std::set<int64_t> waits;
  for (int i = 0; i < 200; ++i) waits.insert(Backoff(milliseconds(1000), milliseconds(1000)).next().count());
  assert_true(waits.size() > 100);
}

void test_backoff_with_first_above_most_keeps_to_the_most(void**) {
  Backoff backoff(milliseconds(500), milliseconds(100));
  assert_in_range(backoff.next().count(), 50, 100);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_backoff_doubles_within_its_jitter_up_to_the_most),
      checked(test_backoff_reset_begins_anew),
      checked(test_backoff_of_many_clients_spreads),
      checked(test_backoff_with_first_above_most_keeps_to_the_most),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// Ids that were passed over.
#include "relay/id_gaps.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using Range = IdGaps::Range;

namespace {

SteadyTime at(int ms) { return SteadyTime(milliseconds(ms)); }

void assert_ranges(const std::vector<Range>& got, const std::vector<Range>& wanted) {
  assert_int_equal(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) assert_true(got[i] == wanted[i]);
}

void test_gaps_of_rising_ids_are_what_was_passed_over(void**) {
  IdGaps gaps;
  for (int64_t id : {5, 6, 9}) gaps.seen(id, at(0));
  assert_true(gaps.highest() == 9);
  assert_ranges(gaps.ranges(10), {{1, 4}, {7, 8}});
}

void test_gaps_late_ids_split_and_close_them(void**) {
  IdGaps gaps;
  gaps.seen(10, at(0));
  gaps.seen(5, at(1));
  assert_ranges(gaps.ranges(10), {{1, 4}, {6, 9}});
  for (int64_t id : {1, 4, 2, 3, 5, 10}) gaps.seen(id, at(1));
  assert_ranges(gaps.ranges(10), {{6, 9}});
  assert_true(gaps.highest() == 10);
}

void test_gaps_more_than_asked_for_are_joined_and_covered(void**) {
  IdGaps gaps;
  for (int64_t id = 2; id <= 20; id += 2) gaps.seen(id, at(0));  // ten gaps: 1, 3, … 19
  auto ranges = gaps.ranges(3);
  assert_ranges(ranges, {{1, 7}, {9, 15}, {17, 19}});
}

void test_gaps_old_ones_are_forgotten_whole_or_not_at_all(void**) {
  IdGaps gaps;
  gaps.seen(3, at(0));
  gaps.seen(6, at(100));
  assert_ranges(gaps.old(at(50), 10), {{1, 2}});
  assert_ranges(gaps.old(at(100), 1), {{1, 2}});
  assert_ranges(gaps.old(at(100), 10, 2), {{4, 5}});
  gaps.forget({1, 1});  // not as it is now
  assert_int_equal(gaps.count(), 2);
  gaps.forget({1, 2});
  assert_ranges(gaps.ranges(10), {{4, 5}});
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_gaps_of_rising_ids_are_what_was_passed_over),
      checked(test_gaps_late_ids_split_and_close_them),
      checked(test_gaps_more_than_asked_for_are_joined_and_covered),
      checked(test_gaps_old_ones_are_forgotten_whole_or_not_at_all),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

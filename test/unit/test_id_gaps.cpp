// Ids that were passed over.
#include <algorithm>
#include <set>

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
  for (int64_t id : {5, 6, 9}) assert_true(gaps.seen(id, at(0)));
  assert_true(gaps.highest() == 9);
  assert_ranges(gaps.ranges(), {{1, 4}, {7, 8}});
  assert_true(gaps.exact());
}

void test_gaps_late_ids_split_and_close_them(void**) {
  IdGaps gaps;
  gaps.seen(10, at(0));
  gaps.seen(5, at(1));
  assert_ranges(gaps.ranges(), {{1, 4}, {6, 9}});
  for (int64_t id : {1, 4, 2, 3, 5, 10}) gaps.seen(id, at(1));
  assert_ranges(gaps.ranges(), {{6, 9}});
  assert_true(gaps.highest() == 10);
}

void test_gaps_more_than_asked_for_are_joined_and_covered(void**) {
  IdGaps gaps(3);
  for (int64_t id : {2, 1000, 1002, 1004}) gaps.seen(id, at(0));
  assert_false(gaps.exact());
  assert_ranges(gaps.ranges(), {{1, 999}, {1001, 1001}, {1003, 1003}});
}

void test_gaps_that_lie_far_apart_are_not_joined(void**) {
  IdGaps gaps(3);
  for (int64_t id = 2; id <= 100; id += 2) gaps.seen(id, at(0));
  for (int64_t id = 101; id <= 5000; id++) gaps.seen(id, at(0));
  for (int64_t id = 5002; id <= 5200; id += 2) gaps.seen(id, at(0));
  for (int64_t first = 3; first <= 99; first += 2) gaps.forget({first, first});  // all but the first
  for (int64_t first = 5001; first <= 5100; first += 2) gaps.forget({first, first});
  assert_int_equal(gaps.ranges().size(), 3);
  assert_true(gaps.ranges().front() == (Range{1, 1}));
  assert_true(gaps.ranges().at(1).first == 5101);
  assert_true(gaps.ranges().back().last == 5199);
}

bool covered(IdGaps& gaps, int64_t id) {
  const auto& ranges = gaps.ranges();
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& r) { return r.first <= id && id <= r.last; });
}

// As with auto_increment_increment = 3, while low ids come late.
void test_gaps_are_covered_at_any_time(void**) {
  IdGaps gaps(5, 40);
  for (int64_t id = 3; id <= 3000; id += 3) {
    gaps.seen(id, at(0));
    if (id % 7 == 0 && id > 30) gaps.seen(id - 25, at(0));
    assert_true(gaps.ranges().size() <= 5);
    assert_true(gaps.count() <= 40);
    for (const Range& gap : gaps.old(at(0), 100)) {
      assert_true(covered(gaps, gap.first));
      assert_true(covered(gaps, gap.last));
    }
    assert_true(covered(gaps, 1));
  }
}

// 300 events a second on one of three servers are 300 gaps a second: they cost the same whatever has gathered.
void test_gaps_of_many_events_are_not_walked_for_each(void**) {
  IdGaps gaps(50, 200'000);
  size_t ranges = 0;
  for (int64_t id = 3; id <= 300'000; id += 3) {  // quadratic, this would take minutes
    gaps.seen(id, at(0));
    ranges += gaps.ranges().size();
  }
  assert_int_equal(gaps.count(), 100'000);
  assert_true(ranges > 0 && ranges <= size_t{100'000} * 50);
}

void test_gaps_beyond_the_bound_become_wider_ones_that_are_as_young(void**) {
  IdGaps gaps(50, 4);
  for (int64_t id : {2, 4, 6, 8}) gaps.seen(id, at(static_cast<int>(id)));  // 1, 3, 5, 7
  gaps.seen(10, at(10));
  assert_ranges(gaps.ranges(), {{1, 3}, {5, 7}, {9, 9}});
  assert_ranges(gaps.old(at(4), 10), {{1, 3}});
  assert_ranges(gaps.old(at(3), 10), {});
}

// What asks, and how often; something is in the ids of `full`.
struct Asked {
  std::set<int64_t> full;
  int times = 0;
  IdGaps::NothingIn nothing_in() {
    return [this](std::span<const Range> ranges) {
      times++;
      return std::none_of(ranges.begin(), ranges.end(), [&](const Range& range) {
        return full.lower_bound(range.first) != full.upper_bound(range.last);
      });
    };
  }
};

void test_gaps_with_nothing_in_them_are_forgotten_by_one_question(void**) {
  IdGaps gaps;
  for (int64_t id = 3; id <= 3000; id += 3) gaps.seen(id, at(0));
  Asked asked;
  const auto old = gaps.old(at(0), 5000);
  assert_int_equal(gaps.forget_empty(old, asked.nothing_in(), 1000, 50), 1000);
  assert_int_equal(gaps.count(), 0);
  assert_int_equal(asked.times, 1);
}

void test_gaps_with_something_in_them_are_found_among_many_and_stay(void**) {
  IdGaps gaps;
  for (int64_t id = 3; id <= 9000; id += 3) gaps.seen(id, at(0));
  Asked asked{{4, 1502, 1505, 8999}};
  assert_int_equal(gaps.forget_empty(gaps.old(at(0), 5000), asked.nothing_in(), 1000, 100), 3000);
  assert_ranges(gaps.ranges(), {{4, 5}, {1501, 1502}, {1504, 1505}, {8998, 8999}});
  assert_true(asked.times <= 3 + 4 * 20);
}

void test_gaps_are_asked_about_no_more_than_so_often(void**) {
  IdGaps gaps;
  Asked asked;
  for (int64_t id = 3; id <= 3000; id += 3) {
    gaps.seen(id, at(0));
    asked.full.insert(id - 1);
  }
  const size_t came_to = gaps.forget_empty(gaps.old(at(0), 5000), asked.nothing_in(), 64, 50);
  assert_true(came_to > 0 && came_to < 50);
  assert_int_equal(asked.times, 50);
  assert_int_equal(gaps.count(), 1000);
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
  assert_false(gaps.seen(1, at(200)));
  assert_true(gaps.highest() == 6);
  assert_ranges(gaps.ranges(), {{4, 5}});
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_gaps_of_rising_ids_are_what_was_passed_over),
      checked(test_gaps_late_ids_split_and_close_them),
      checked(test_gaps_more_than_asked_for_are_joined_and_covered),
      checked(test_gaps_that_lie_far_apart_are_not_joined),
      checked(test_gaps_are_covered_at_any_time),
      checked(test_gaps_of_many_events_are_not_walked_for_each),
      checked(test_gaps_beyond_the_bound_become_wider_ones_that_are_as_young),
      checked(test_gaps_old_ones_are_forgotten_whole_or_not_at_all),
      checked(test_gaps_with_nothing_in_them_are_forgotten_by_one_question),
      checked(test_gaps_with_something_in_them_are_found_among_many_and_stay),
      checked(test_gaps_are_asked_about_no_more_than_so_often),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

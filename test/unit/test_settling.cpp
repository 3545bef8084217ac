// The account of delivery tags.
#include <algorithm>
#include <random>
#include <set>
#include <stdexcept>

#include "common/failure.hpp"
#include "consumer/settling.hpp"
#include "test/unit/unit.hpp"

namespace muskrat {
namespace {

using Acks = std::vector<Settling::Ack>;

SteadyTime at(int second) { return SteadyTime(std::chrono::seconds(second)); }

Settling with(uint64_t tags) {
  Settling settling;
  for (uint64_t tag = 1; tag <= tags; ++tag) settling.taken(tag, at(static_cast<int>(tag)));
  return settling;
}

void test_settling_finished_prefix_is_one_multiple_ack(void**) {
  Settling settling = with(5);
  for (const uint64_t tag : {2, 1, 3}) settling.finished(tag);
  assert_true(settling.take_acks(false) == (Acks{{3, true}}));
  assert_true(settling.take_acks(false).empty());
  assert_int_equal(settling.open(), 2);
}

void test_settling_lone_event_is_acked_singly(void**) {
  Settling settling = with(1);
  settling.finished(1);
  assert_true(settling.take_acks(false) == (Acks{{1, false}}));
  assert_true(settling.clean());
}

void test_settling_open_event_keeps_later_ones_from_multiple(void**) {
  Settling settling = with(4);
  for (const uint64_t tag : {2, 3, 4}) settling.finished(tag);
  assert_true(settling.take_acks(false).empty());
  assert_int_equal(settling.unacknowledged(), 3);
  assert_true(settling.take_acks(true) == (Acks{{2, false}, {3, false}, {4, false}}));
  assert_true(settling.take_acks(true).empty());
  settling.finished(1);
  assert_true(settling.take_acks(false) == (Acks{{1, false}}));
  assert_true(settling.clean());
}

void test_settling_oldest_open_is_when_it_was_taken(void**) {
  Settling settling = with(3);
  assert_true(settling.oldest_open() == at(1));
  settling.finished(1);
  assert_true(settling.oldest_open() == at(2));
  settling.finished(2);
  settling.finished(3);
  assert_false(settling.oldest_open().has_value());
}

template <typename Error, typename Action>
bool throws(Action action) {
  try {
    action();
  } catch (const Error&) {
    return true;
  }
  return false;
}

void test_settling_gap_in_tags_ends_the_connection(void**) {
  Settling settling = with(2);
  assert_true(throws<Failure>([&] { settling.taken(4, at(4)); }));
}

void test_settling_second_finish_is_a_mistake(void**) {
  Settling settling = with(2);
  settling.finished(2);
  assert_true(throws<std::logic_error>([&] { settling.finished(2); }));
  assert_true(throws<std::logic_error>([&] { settling.finished(3); }));
}

// Whatever the order of finishing: no open tag is ever covered, every finished one exactly once.
void test_settling_random_orders_ack_each_finished_tag_once(void**) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::minstd_rand random(seed);
    constexpr uint64_t tags = 60;
    Settling settling = with(tags);
    std::vector<uint64_t> order;
    for (uint64_t tag = 1; tag <= tags; ++tag) order.push_back(tag);
    std::shuffle(order.begin(), order.end(), random);
    std::set<uint64_t> finished, acked;
    for (const uint64_t tag : order) {
      settling.finished(tag);
      finished.insert(tag);
      for (const Settling::Ack& ack : settling.take_acks(random() % 4 == 0)) {
        for (uint64_t covered = ack.multiple ? 1 : ack.tag; covered <= ack.tag; ++covered) {
          assert_true(finished.contains(covered));
          const bool is_new = acked.insert(covered).second;
          assert_true(is_new || ack.multiple);
        }
      }
    }
    settling.take_acks(true);
    assert_true(settling.clean());
  }
}

}  // namespace
}  // namespace muskrat

int main() {
  using namespace muskrat;
  const CMUnitTest tests[] = {
      checked(test_settling_finished_prefix_is_one_multiple_ack),
      checked(test_settling_lone_event_is_acked_singly),
      checked(test_settling_open_event_keeps_later_ones_from_multiple),
      checked(test_settling_oldest_open_is_when_it_was_taken),
      checked(test_settling_gap_in_tags_ends_the_connection),
      checked(test_settling_second_finish_is_a_mistake),
      checked(test_settling_random_orders_ack_each_finished_tag_once),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

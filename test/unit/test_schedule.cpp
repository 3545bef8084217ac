// Who goes next: keys in order, batches, waiting, barriers.
#include <algorithm>
#include <random>

#include "consumer/schedule.hpp"
#include "test/unit/unit.hpp"

namespace muskrat {
namespace {

SteadyTime at(int ms) { return SteadyTime(milliseconds(1'000'000 + ms)); }

std::unique_ptr<Item> item(uint64_t tag, const std::string& key, int taken_ms = 0) {
  auto made = std::make_unique<Item>();
  made->tag = tag;
  made->event.key = key;
  made->event.message_id = "m" + std::to_string(tag);
  made->bytes = 10;
  made->taken_at = at(taken_ms);
  return made;
}

void add(Schedule& schedule, uint64_t tag, const std::string& key, bool barrier = false) {
  schedule.add(item(tag, key), barrier);
}

std::vector<uint64_t> tags(const std::vector<Item*>& batch) {
  std::vector<uint64_t> found;
  found.reserve(batch.size());
  for (const Item* each : batch) found.push_back(each->tag);
  return found;
}

using Tags = std::vector<uint64_t>;

void test_schedule_batch_holds_one_event_of_a_key(void**) {
  Schedule schedule({1, 10, milliseconds(0)});
  add(schedule, 1, "a"), add(schedule, 2, "a"), add(schedule, 3, "b");
  const auto batch = schedule.next_batch(0, at(0), false);
  assert_true(tags(batch) == (Tags{1, 3}));
  assert_true(schedule.next_batch(0, at(0), true).empty());
  schedule.finish(*batch[0]);
  assert_true(tags(schedule.next_batch(0, at(0), false)) == (Tags{2}));
}

// Else each event that is tried again would be a batch of its own.
void test_schedule_event_that_waited_waits_for_others_from_when_it_may_go(void**) {
  Schedule schedule({1, 10, milliseconds(20)});
  add(schedule, 1, "a");
  const auto batch = schedule.next_batch(0, at(20), false);
  schedule.wait_until(*batch[0], at(100));
  add(schedule, 2, "b");
  assert_true(tags(schedule.next_batch(0, at(60), false)) == (Tags{2}));
  assert_true(schedule.next_batch(0, at(100), false).empty());
  assert_true(schedule.next_due(0) == at(120));
  schedule.add(item(3, "c", 110), false);
  assert_true(tags(schedule.next_batch(0, at(120), false)) == (Tags{1, 3}));
}

void test_schedule_events_without_key_are_keys_of_their_own(void**) {
  Schedule schedule({1, 10, milliseconds(0)});
  add(schedule, 1, ""), add(schedule, 2, "");
  assert_true(tags(schedule.next_batch(0, at(0), false)) == (Tags{1, 2}));
}

void test_schedule_batch_waits_for_size_or_age(void**) {
  Schedule schedule({1, 2, milliseconds(20)});
  add(schedule, 1, "a");
  assert_true(schedule.next_batch(0, at(19), false).empty());
  assert_true(schedule.next_due(0) == at(20));
  assert_true(tags(schedule.next_batch(0, at(20), false)) == (Tags{1}));
  add(schedule, 2, "b"), add(schedule, 3, "c"), add(schedule, 4, "d");
  assert_true(tags(schedule.next_batch(0, at(0), false)) == (Tags{2, 3}));
  assert_true(schedule.next_batch(0, at(0), false).empty());
  assert_true(tags(schedule.next_batch(0, at(0), true)) == (Tags{4}));
}

// Else a backlog that stood while no calls were allowed would go in full batches and a remainder, over and over.
void test_schedule_what_a_batch_leaves_over_waits_for_others_anew(void**) {
  Schedule schedule({1, 2, milliseconds(20)});
  add(schedule, 1, "a"), add(schedule, 2, "b"), add(schedule, 3, "c");
  assert_true(schedule.a_batch_is_full());
  assert_true(tags(schedule.next_batch(0, at(100), false)) == (Tags{1, 2}));
  assert_false(schedule.a_batch_is_full());
  assert_true(schedule.next_batch(0, at(119), false).empty());
  assert_true(schedule.next_due(0) == at(120));
  schedule.gather_for(milliseconds(50));
  assert_true(schedule.next_batch(0, at(149), false).empty());
  assert_true(tags(schedule.next_batch(0, at(150), false)) == (Tags{3}));
}

void test_schedule_key_keeps_to_one_lane(void**) {
  Schedule schedule({4, 100, milliseconds(0)});
  for (uint64_t tag = 1; tag <= 40; ++tag) add(schedule, tag, "key" + std::to_string(tag % 20));
  size_t seen = 0;
  for (unsigned lane = 0; lane < 4; ++lane) {
    const auto first = schedule.next_batch(lane, at(0), false);
    for (Item* each : first) schedule.finish(*each);
    const auto second = schedule.next_batch(lane, at(0), false);
    assert_int_equal(first.size(), second.size());
    seen += first.size() + second.size();
  }
  assert_int_equal(seen, 40);
}

void test_schedule_waiting_event_holds_back_its_own_key_only(void**) {
  Schedule schedule({1, 10, milliseconds(0)});
  add(schedule, 1, "a"), add(schedule, 2, "b");
  const auto batch = schedule.next_batch(0, at(0), false);
  schedule.wait_until(*batch[0], at(500));
  schedule.finish(*batch[1]);
  add(schedule, 3, "a"), add(schedule, 4, "b");
  assert_int_equal(schedule.held(), 2);
  assert_true(tags(schedule.next_batch(0, at(499), false)) == (Tags{4}));
  assert_true(schedule.next_due(0) == at(500));
  const auto again = schedule.next_batch(0, at(500), false);
  assert_true(tags(again) == (Tags{1}));
  assert_int_equal(schedule.held(), 0);
  schedule.finish(*again[0]);
  assert_true(tags(schedule.next_batch(0, at(500), false)) == (Tags{3}));
}

void test_schedule_event_on_its_way_to_the_dead_letters_blocks_until_finished(void**) {
  Schedule schedule({1, 10, milliseconds(0)});
  add(schedule, 1, "a"), add(schedule, 2, "a");
  Item& dead = *schedule.next_batch(0, at(0), false)[0];
  schedule.wait(dead);
  assert_int_equal(schedule.under_way(), 0);
  assert_int_equal(schedule.held(), 2);
  assert_true(schedule.next_batch(0, at(100000), true).empty());
  schedule.finish(dead);
  assert_int_equal(schedule.held(), 0);
  assert_true(tags(schedule.next_batch(0, at(0), true)) == (Tags{2}));
}

void test_schedule_event_of_an_earlier_life_keeps_its_wait(void**) {
  Schedule schedule({1, 10, milliseconds(0)});
  auto early = item(1, "a");
  early->not_before = at(300);
  schedule.add(std::move(early), false);
  assert_true(schedule.next_batch(0, at(299), true).empty());
  assert_true(tags(schedule.next_batch(0, at(300), false)) == (Tags{1}));
}

void test_schedule_batch_holds_no_more_than_its_bytes(void**) {
  Schedule schedule({1, 10, milliseconds(1000), 25});
  add(schedule, 1, "a"), add(schedule, 2, "b");
  assert_true(schedule.next_batch(0, at(0), false).empty());
  add(schedule, 3, "c");  // 30 bytes are ready: no reason to wait
  assert_true(tags(schedule.next_batch(0, at(0), false)) == (Tags{1, 2}));
  assert_true(tags(schedule.next_batch(0, at(0), true)) == (Tags{3}));
}

void test_schedule_event_larger_than_a_batch_goes_alone(void**) {
  Schedule schedule({1, 10, milliseconds(0), 5});
  add(schedule, 1, "a"), add(schedule, 2, "b");
  assert_true(tags(schedule.next_batch(0, at(0), false)) == (Tags{1}));
  assert_true(tags(schedule.next_batch(0, at(0), false)) == (Tags{2}));
}

void test_schedule_event_put_back_goes_again_before_the_next_of_its_key_and_holds_nothing(void**) {
  Schedule schedule({1, 10, milliseconds(0)});
  add(schedule, 1, "a"), add(schedule, 2, "a");
  Item& first = *schedule.next_batch(0, at(0), false).at(0);
  schedule.put_back(first);
  assert_int_equal(schedule.under_way() + schedule.held() + schedule.held_bytes(), 0);
  assert_int_equal(schedule.ready(), 1);
  const auto again = schedule.next_batch(0, at(0), false);
  assert_true(tags(again) == (Tags{1}));
  schedule.finish(*again[0]);
  assert_true(tags(schedule.next_batch(0, at(0), false)) == (Tags{2}));
}

void test_schedule_held_bytes_follow_what_is_held(void**) {
  Schedule schedule({1, 10, milliseconds(0)});
  add(schedule, 1, "a"), add(schedule, 2, "b");
  const auto batch = schedule.next_batch(0, at(0), false);
  schedule.wait_until(*batch[0], at(500));
  schedule.finish(*batch[1]);
  add(schedule, 3, "a"), add(schedule, 4, "b");
  assert_int_equal(schedule.held_bytes(), 20);
  for (Item* each : schedule.next_batch(0, at(500), false)) schedule.finish(*each);
  assert_int_equal(schedule.held_bytes(), 0);
  assert_true(tags(schedule.next_batch(0, at(500), false)) == (Tags{3}));
}

void test_schedule_barrier_goes_alone(void**) {
  Schedule schedule({2, 10, milliseconds(0)});
  add(schedule, 1, "a"), add(schedule, 2, "t", true), add(schedule, 3, "b"), add(schedule, 4, "t", true),
      add(schedule, 5, "c");
  Tags order;
  for (int turn = 0; turn < 5; ++turn) {
    std::vector<Item*> batch;
    for (unsigned lane = 0; lane < 2; ++lane)
      for (Item* each : schedule.next_batch(lane, at(0), true)) batch.push_back(each);
    assert_int_equal(batch.size(), 1);
    order.push_back(batch[0]->tag);
    schedule.finish(*batch[0]);
  }
  assert_true(order == (Tags{1, 2, 3, 4, 5}));
  assert_int_equal(schedule.in_hand(), 0);
}

void test_schedule_stop_after_lets_nothing_later_go(void**) {
  Schedule schedule({1, 1, milliseconds(0)});
  for (uint64_t tag = 1; tag <= 4; ++tag) add(schedule, tag, tag % 2 ? "a" : "b");
  Item& first = *schedule.next_batch(0, at(0), true)[0];
  schedule.stop_after(2);
  schedule.finish(first);
  const auto rest = schedule.next_batch(0, at(0), true);
  assert_true(tags(rest) == (Tags{2}));
  schedule.finish(*rest[0]);
  assert_int_equal(schedule.ready(), 0);
  assert_true(schedule.next_batch(0, at(0), true).empty());
}

void test_schedule_counts_return_to_nothing(void**) {
  Schedule schedule({2, 3, milliseconds(0)});
  for (uint64_t tag = 1; tag <= 50; ++tag) add(schedule, tag, "k" + std::to_string(tag % 7));
  assert_int_equal(schedule.bytes(), 500);
  while (schedule.in_hand() > 0)
    for (unsigned lane = 0; lane < 2; ++lane)
      for (Item* each : schedule.next_batch(lane, at(0), true)) schedule.finish(*each);
  assert_int_equal(schedule.bytes() + schedule.held() + schedule.under_way(), 0);
}

// Whatever fails, waits and comes back: of each key the tags finish in rising order.
void test_schedule_random_fates_keep_each_key_in_order(void**) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    std::minstd_rand random(seed);
    Schedule schedule({3, 4, milliseconds(0)});
    std::map<std::string, uint64_t> last;
    uint64_t next = 1;
    for (int ms = 0; ms < 4000 && (next <= 60 || schedule.in_hand() > 0); ++ms) {
      if (next <= 60) add(schedule, next, "k" + std::to_string(random() % 5)), ++next;
      for (unsigned lane = 0; lane < 3; ++lane) {
        for (Item* each : schedule.next_batch(lane, at(ms), true)) {
          if (random() % 3 == 0) {
            schedule.wait_until(*each, at(ms + static_cast<int>(random() % 20)));
            continue;
          }
          uint64_t& before = last[each->event.key];
          assert_true(before < each->tag);
          before = each->tag;
          schedule.finish(*each);
        }
      }
    }
    assert_int_equal(schedule.in_hand(), 0);
  }
}

}  // namespace
}  // namespace muskrat

int main() {
  using namespace muskrat;
  const CMUnitTest tests[] = {
      checked(test_schedule_batch_holds_one_event_of_a_key),
      checked(test_schedule_event_that_waited_waits_for_others_from_when_it_may_go),
      checked(test_schedule_events_without_key_are_keys_of_their_own),
      checked(test_schedule_batch_waits_for_size_or_age),
      checked(test_schedule_what_a_batch_leaves_over_waits_for_others_anew),
      checked(test_schedule_key_keeps_to_one_lane),
      checked(test_schedule_waiting_event_holds_back_its_own_key_only),
      checked(test_schedule_event_on_its_way_to_the_dead_letters_blocks_until_finished),
      checked(test_schedule_event_of_an_earlier_life_keeps_its_wait),
      checked(test_schedule_batch_holds_no_more_than_its_bytes),
      checked(test_schedule_event_larger_than_a_batch_goes_alone),
      checked(test_schedule_event_put_back_goes_again_before_the_next_of_its_key_and_holds_nothing),
      checked(test_schedule_held_bytes_follow_what_is_held),
      checked(test_schedule_barrier_goes_alone),
      checked(test_schedule_stop_after_lets_nothing_later_go),
      checked(test_schedule_counts_return_to_nothing),
      checked(test_schedule_random_fates_keep_each_key_in_order),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// Who may pass while a key waits behind dead letters.
#include "consumer/held_keys.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

std::string blocker(const HeldKeys& keys, const HeldKeys::Letter& event, const std::string& key = "K") {
  const std::string* found = keys.blocker(key, event);
  return found ? *found : "";
}

void test_held_keys_first_letter_may_pass_and_others_wait_for_it(void**) {
  HeldKeys keys;
  keys.add("K", {"a", 1, 10});
  assert_text(blocker(keys, {"a", 1, 10}), "");
  assert_text(blocker(keys, {"b", 1, 11}), "a");
  assert_text(blocker(keys, {"b", 1, 11}, "other"), "");
}

void test_held_keys_key_is_free_only_when_its_last_letter_is_in_place(void**) {
  HeldKeys keys;
  keys.add("K", {"a", 1, 10});
  keys.add("K", {"b", 1, 11});
  keys.release("K", "a");
  assert_text(blocker(keys, {"new", 1, 99}), "b");
  assert_text(blocker(keys, {"b", 1, 11}), "");
  keys.release("K", "b");
  assert_text(blocker(keys, {"new", 1, 99}), "");
  assert_int_equal(keys.size(), 0);
  assert_int_equal(keys.letters(), 0);
}

void test_held_keys_order_is_of_events_and_not_of_the_queue(void**) {
  HeldKeys keys;
  keys.add("K", {"b", 1, 11});
  keys.add("K", {"c", 1, 12});
  keys.add("K", {"a", 1, 10});  // failed again: it stands last
  assert_text(blocker(keys, {"b", 1, 11}), "a");
  keys.release("K", "a");
  assert_text(blocker(keys, {"c", 1, 12}), "b");
}

void test_held_keys_event_older_than_every_letter_may_pass(void**) {
  HeldKeys keys;
  keys.add("K", {"b", 1, 11});
  assert_text(blocker(keys, {"a", 1, 10}), "");
  assert_text(blocker(keys, {"new epoch", 2, 1}), "b");
}

void test_held_keys_letters_without_a_place_in_history_keep_the_order_in_which_they_came(void**) {
  HeldKeys keys;
  keys.add("K", {"a", 0, 0});
  keys.add("K", {"b", 0, 0});
  assert_text(blocker(keys, {"b", 0, 0}), "a");
  keys.release("K", "a");
  assert_text(blocker(keys, {"b", 0, 0}), "");
}

void test_held_keys_letter_that_comes_twice_counts_once(void**) {
  HeldKeys keys;
  keys.add("K", {"a", 1, 10});
  keys.add("K", {"a", 1, 10});
  keys.add("", {"x", 1, 1});
  assert_int_equal(keys.letters(), 1);
  keys.release("K", "none");
  keys.release("K", "a");
  assert_text(blocker(keys, {"b", 1, 11}), "");
}

// What the queue must hold: who finds less in it knows that somebody took letters out.
void test_held_keys_letters_that_hold_nobody_are_counted_too(void**) {
  HeldKeys keys;
  keys.add("", {"truncate", 1, 1});
  keys.add("K", {"a", 1, 10});
  keys.add("K", {"a", 1, 10});
  assert_int_equal(keys.in_queue(), 3);
  // sent again, which takes it out of the queue, and dead once more
  keys.add("K", {"a", 1, 10}, true);
  keys.add("", {"truncate", 1, 1}, true);
  assert_int_equal(keys.in_queue(), 3);
  // sent again, and done
  keys.release("", "truncate", true);
  assert_int_equal(keys.in_queue(), 2);
  keys.release("K", "a", true);
  keys.release("K", "a", true);
  assert_int_equal(keys.in_queue(), 0);
  keys.release("K", "never a letter");
  keys.release("K", "nor counted", true);
  assert_int_equal(keys.in_queue(), 0);
  // letters that came another way
  keys.add("K", {"b", 1, 11});
  keys.seen(3);
  assert_int_equal(keys.in_queue(), 3);
  keys.seen(2);
  assert_int_equal(keys.in_queue(), 3);
  assert_int_equal(keys.letters(), 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_held_keys_first_letter_may_pass_and_others_wait_for_it),
      checked(test_held_keys_key_is_free_only_when_its_last_letter_is_in_place),
      checked(test_held_keys_order_is_of_events_and_not_of_the_queue),
      checked(test_held_keys_event_older_than_every_letter_may_pass),
      checked(test_held_keys_letters_without_a_place_in_history_keep_the_order_in_which_they_came),
      checked(test_held_keys_letter_that_comes_twice_counts_once),
      checked(test_held_keys_letters_that_hold_nobody_are_counted_too),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

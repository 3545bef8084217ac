// Which dead letters the host sends again by itself.
#include "consumer/due_letters.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

constexpr int64_t now = 1'000'000'000'000;
const RetryPlan plan{milliseconds(60'000), 3, false};
const RetryPlan holding{milliseconds(60'000), 3, true};

LetterFacts letter(const char* name, const char* cause, int64_t age_s, int64_t retries = 0, int64_t seq = 0,
                   const char* key = "K") {
  return {name, key, cause, retries, now - age_s * 1000, 1, seq};
}

std::string chosen(const std::vector<LetterFacts>& letters, const RetryPlan& rule) {
  const auto due = due_letters(letters, rule, now);
  std::string names;
  for (const LetterFacts& one : letters)
    if (due.contains(one.identity)) names += one.identity;
  return names;
}

void test_due_letters_takes_transient_ones_that_are_old_enough_and_have_times_left(void**) {
  assert_text(chosen({letter("a", "transient", 60), letter("b", "transient", 59), letter("c", "permanent", 600),
                      letter("d", "transient", 600, 2), letter("e", "transient", 600, 3), letter("f", "", 600)},
                     plan),
              "ad");
}

void test_due_letters_of_a_held_key_go_as_a_whole(void**) {
  assert_text(
      chosen({letter("a", "transient", 90, 0, 1), letter("b", "held", 5, 0, 2), letter("c", "held", 5, 0, 3)}, holding),
      "abc");
}

void test_due_letters_of_a_held_key_wait_for_its_oldest_event(void**) {
  assert_text(chosen({letter("b", "transient", 90, 0, 2), letter("a", "permanent", 90, 0, 1)}, holding), "");
  assert_text(chosen({letter("b", "held", 90, 0, 2), letter("a", "transient", 30, 0, 1)}, holding), "");
}

void test_due_letters_of_a_held_key_stop_before_one_that_must_stay(void**) {
  assert_text(chosen({letter("a", "transient", 90, 0, 1), letter("b", "held", 90, 0, 2),
                      letter("c", "permanent", 90, 0, 3), letter("d", "held", 90, 0, 4)},
                     holding),
              "ab");
}

// Its first letter was sent again, and done, while this one was buried behind it.
void test_due_letters_of_a_held_key_begin_with_a_held_one_whose_blocker_is_gone(void**) {
  assert_text(chosen({letter("b", "held", 90, 3, 2), letter("c", "transient", 5, 0, 3)}, holding), "bc");
  assert_text(chosen({letter("b", "held", 59, 0, 2)}, holding), "");
}

void test_due_letters_without_a_key_hold_nobody(void**) {
  assert_text(chosen({letter("a", "permanent", 90, 0, 1, ""), letter("b", "transient", 90, 0, 2, "")}, holding), "b");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_due_letters_takes_transient_ones_that_are_old_enough_and_have_times_left),
      checked(test_due_letters_of_a_held_key_go_as_a_whole),
      checked(test_due_letters_of_a_held_key_wait_for_its_oldest_event),
      checked(test_due_letters_of_a_held_key_stop_before_one_that_must_stay),
      checked(test_due_letters_of_a_held_key_begin_with_a_held_one_whose_blocker_is_gone),
      checked(test_due_letters_without_a_key_hold_nobody),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

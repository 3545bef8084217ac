// Routing keys, patterns and bindings.
#include "common/event.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_text;

namespace {

void test_routing_key_of_three_words_is_split(void**) {
  const auto key = parse_routing_key("Frontend.Customer.Signup");
  assert_true(key.has_value());
  assert_text(key->source, "Frontend");
  assert_text(key->object, "Customer");
  assert_text(key->action, "Signup");
}

void refused(const std::string& text, const char* reason) {
  std::string why;
  assert_false(parse_routing_key(text, &why).has_value());
  assert_holds(why, reason);
}

void test_routing_key_with_a_fault_names_the_rule(void**) {
  refused("", "1 word");
  refused("Frontend.Customer", "2 words");
  refused("a.b.c.d", "4 words");
  refused("a..c", "empty word");
  refused("a.b.", "empty word");
  refused("a.b.c d", "may hold");
  refused("a.b.ü", "may hold");
  refused("a.b.*", "may hold");
  refused("a.b." + std::string(252, 'x'), "256 bytes");
  assert_true(parse_routing_key("a.b." + std::string(251, 'x')).has_value());
  assert_false(parse_routing_key("a.b").has_value());  // without asking why
}

void test_pattern_with_final_star_binds_the_rest(void**) {
  assert_text(*binding_of_pattern("Frontend.*"), "Frontend.#");
  assert_text(*binding_of_pattern("*"), "#");
  assert_text(*binding_of_pattern("*.*"), "*.#");
  assert_text(*binding_of_pattern("Frontend.Customer.*"), "Frontend.Customer.*");
  assert_text(*binding_of_pattern("Frontend.Customer.Signup"), "Frontend.Customer.Signup");
  assert_text(*binding_of_pattern("*.Customer.*"), "*.Customer.*");
  assert_text(*binding_of_pattern("Frontend.#"), "Frontend.#");
  assert_text(*binding_of_pattern("#"), "#");
  assert_text(*binding_of_pattern("#.Signup"), "#.Signup");
}

void pattern_refused(const std::string& pattern, const char* reason) {
  std::string why;
  assert_false(binding_of_pattern(pattern, &why).has_value());
  assert_holds(why, reason);
}

void test_pattern_that_matches_nothing_is_refused(void**) {
  pattern_refused("Frontend", "did you mean Frontend.*?");
  pattern_refused("Frontend.Customer", "did you mean Frontend.Customer.*?");
  pattern_refused("a.b.c.d", "4 words");
  pattern_refused("a.b.c.*", "4 words");
  pattern_refused("a.b.c.d.#", "4 words");
  pattern_refused("", "empty word");
  pattern_refused("a..*", "empty word");
  pattern_refused("a.b*.c", "a word may hold");
  pattern_refused("a.##", "a word may hold");
  pattern_refused(std::string(300, 'a'), "300 bytes");
}

void test_signup_reaches_subscriptions_of_every_depth(void**) {
  for (const char* pattern :
       {"Frontend.*", "Frontend.Customer.*", "Frontend.Customer.Signup", "*", "#", "*.*.Signup"}) {
    assert_true(binding_matches(*binding_of_pattern(pattern), "Frontend.Customer.Signup"));
  }
  for (const char* pattern : {"Backend.*", "Frontend.Order.*", "Frontend.Customer.Update", "*.*.Cancel"}) {
    assert_false(binding_matches(*binding_of_pattern(pattern), "Frontend.Customer.Signup"));
  }
}

void test_binding_hash_takes_any_number_of_words(void**) {
  assert_true(binding_matches("a.#", "a"));
  assert_true(binding_matches("a.#.c", "a.c"));
  assert_true(binding_matches("a.#.c", "a.b.b.c"));
  assert_false(binding_matches("a.#.c", "a.b"));
  assert_false(binding_matches("a.*", "a.b.c"));
  assert_true(binding_matches("#.#.#.#.#.#.#.#.#.#.#.#.#.#.#", "a.b.c"));
}

void test_op_names_and_letters_go_both_ways(void**) {
  for (const Op op : {Op::insert, Op::update, Op::remove, Op::truncate, Op::backfill, Op::emit, Op::record}) {
    assert_true(op_from_name(op_name(op)) == op);
    assert_true(op_from_char(static_cast<char>(op)) == op);
  }
  assert_text(op_name(Op::remove), "delete");
  assert_false(op_from_name("remove").has_value());
  assert_false(op_from_char('x').has_value());
}

void test_backfill_is_expected_under_the_words_that_it_stands_for(void**) {
  Event event;
  event.routing_key = "Frontend.Customer.Backfill";
  assert_int_equal(routing_keys_of(event).size(), 1);
  event.as = "Signup Update";
  const auto keys = routing_keys_of(event);
  assert_int_equal(keys.size(), 3);
  assert_text(keys[0], "Frontend.Customer.Backfill");
  assert_text(keys[1], "Frontend.Customer.Signup");
  assert_text(keys[2], "Frontend.Customer.Update");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_routing_key_of_three_words_is_split),
      checked(test_routing_key_with_a_fault_names_the_rule),
      checked(test_pattern_with_final_star_binds_the_rest),
      checked(test_pattern_that_matches_nothing_is_refused),
      checked(test_signup_reaches_subscriptions_of_every_depth),
      checked(test_binding_hash_takes_any_number_of_words),
      checked(test_op_names_and_letters_go_both_ways),
      checked(test_backfill_is_expected_under_the_words_that_it_stands_for),
  };
  return cmocka_run_group_tests_name("event", tests, nullptr, nullptr);
}

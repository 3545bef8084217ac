// What an endpoint's patterns take of what comes.
#include "consumer/subscription.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

Event event_of(const std::string& routing_key, const std::string& as = "") {
  Event event;
  event.routing_key = routing_key;
  event.as = as;
  return event;
}

void test_subscription_takes_what_one_of_its_patterns_takes(void**) {
  Subscription subscription({"Frontend.Customer.*", "Billing.*", "no pattern"});
  for (int time = 0; time < 2; ++time) {  // judged, then remembered
    assert_true(subscription.takes(event_of("Frontend.Customer.Signup")));
    assert_true(subscription.takes(event_of("Billing.Invoice.Paid")));
    assert_false(subscription.takes(event_of("Frontend.Payment.Made")));
  }
}

void test_subscription_takes_a_backfill_for_the_words_that_it_stands_for(void**) {
  Subscription subscription({"Frontend.Customer.Signup"});
  const std::string key = "Frontend.Customer.Backfill";
  for (int time = 0; time < 2; ++time) {
    assert_false(subscription.takes(event_of(key)));
    assert_true(subscription.takes(event_of(key, "Signup Update")));
    assert_false(subscription.takes(event_of(key, "Update Cancel")));
  }
}

void test_subscription_of_nothing_takes_nothing(void**) {
  Subscription subscription({});
  assert_false(subscription.takes(event_of("Frontend.Customer.Signup")));
}

void test_subscription_remembers_no_more_than_its_bound(void**) {
  Subscription subscription({"A.*"});
  for (size_t i = 0; i < Subscription::most_remembered * 2 + 10; ++i) {
    assert_true(subscription.takes(event_of("A.B.n" + std::to_string(i))));
    assert_true(subscription.remembered() <= Subscription::most_remembered);
  }
  assert_false(subscription.takes(event_of("B.B.n1")));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_subscription_takes_what_one_of_its_patterns_takes),
      checked(test_subscription_takes_a_backfill_for_the_words_that_it_stands_for),
      checked(test_subscription_of_nothing_takes_nothing),
      checked(test_subscription_remembers_no_more_than_its_bound),
  };
  return cmocka_run_group_tests_name("subscription", tests, nullptr, nullptr);
}

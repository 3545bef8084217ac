// What the broker refuses of exchanges and queues, in words.
#include "common/topology.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;

namespace {

std::string refusal(int code, const std::string& text) {
  return refusal_text(amqp::ChannelError(code, text), "queue muskrat.unrouted");
}

void test_refusal_of_a_queue_that_is_there_says_what_differs(void**) {
  const std::string text =
      refusal(406,
              "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'muskrat.unrouted' in "
              "vhost '/': received '1' but current is '2'");
  assert_holds(text, "x-max-length is '2' on the broker, '1' in this configuration");
  assert_holds(text, "delete it yourself");
  assert_lacks(text, "3.10");
}

void test_refusal_of_an_argument_that_the_broker_does_not_know_asks_for_a_newer_one(void**) {
  // RabbitMQ 3.9, where there is no such queue to be drained and deleted
  const std::string text = refusal(406,
                                   "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'muskrat.unrouted' in "
                                   "vhost '/' of queue type rabbit_quorum_queue");
  assert_holds(text, "RabbitMQ 3.10 or later is needed");
  assert_holds(text, "x-message-ttl");
  assert_lacks(text, "delete it");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_refusal_of_a_queue_that_is_there_says_what_differs),
      checked(test_refusal_of_an_argument_that_the_broker_does_not_know_asks_for_a_newer_one),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// What `muskrat setup` declares, against a RabbitMQ server.
#include <algorithm>

#include "common/topology.hpp"
#include "test/integration/broker.hpp"

using namespace muskrat;
using namespace muskrat::integration;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_text;

namespace {

Topology own_topology(const std::string& name) { return {"t-" + name + "-" + std::to_string(::getpid())}; }

const std::vector<EndpointBinding> endpoints = {{"analytics", {"Frontend.*"}},
                                                {"crm", {"Frontend.Customer.*", "Frontend.Customer.Signup"}}};

std::vector<SetupLine> declare(amqp::Connection& broker, const Topology& topology,
                               const std::vector<EndpointBinding>& wanted = endpoints, UnroutedBound bound = {}) {
  return declare_topology(broker, topology, wanted, bound, soon());
}

std::string refusals(const std::vector<SetupLine>& lines) {
  std::string text;
  for (const auto& line : lines)
    if (!line.ok) text += line.text + "\n";
  return text;
}

uint32_t messages(amqp::Connection& broker, const std::string& queue) {
  auto state = broker.queue_state(queue, soon());
  if (!state) fail_msg("queue %s is missing", queue.c_str());
  return state->messages;
}

void send(amqp::Connection& broker, const std::string& exchange, const std::vector<std::string>& keys) {
  broker.confirm_select(soon());
  for (const auto& key : keys) publish_to(broker, exchange, key, "{}");
  Recorder recorder;
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == keys.size(); });
  assert_int_equal(recorder.returns.size(), 0);
}

void test_setup_twice_changes_nothing_and_refuses_nothing(void**) {
  auto broker = connect();
  auto topology = own_topology("twice");
  auto first = declare(broker, topology);
  assert_text(refusals(first), "");
  assert_text(refusals(declare(broker, topology)), "");
  assert_true(std::any_of(first.begin(), first.end(), [&](const SetupLine& line) {
    return line.text == "queue " + topology.queue("crm") + ": declared (quorum)";
  }));
}

void test_setup_routes_events_to_each_subscriber_once(void**) {
  auto broker = connect();
  auto topology = own_topology("routes");
  declare(broker, topology);
  send(broker, topology.exchange(), {"Frontend.Customer.Signup", "Frontend.Invoice.Paid", "Billing.Invoice.Paid"});
  assert_int_equal(messages(broker, topology.queue("analytics")), 2);
  assert_int_equal(messages(broker, topology.queue("crm")), 1);
  assert_int_equal(messages(broker, topology.unrouted()), 1);
}

void test_setup_leads_dead_letters_to_their_endpoint(void**) {
  auto broker = connect();
  auto topology = own_topology("dead");
  declare(broker, topology);
  send(broker, topology.dead_exchange(), {"crm"});
  assert_int_equal(messages(broker, topology.dead_queue("crm")), 1);
  assert_int_equal(messages(broker, topology.dead_queue("analytics")), 0);
}

void test_setup_lets_one_consumer_be_active(void**) {
  auto first = connect(), second = connect();
  auto topology = own_topology("single");
  declare(first, topology);
  for (auto* broker : {&first, &second}) {
    broker->qos(10, soon());
    broker->consume(topology.queue("crm"), soon());
  }
  auto publisher = connect();
  send(publisher, topology.exchange(),
       {"Frontend.Customer.Signup", "Frontend.Customer.Signup", "Frontend.Customer.Signup"});
  Recorder active, standby;
  pump_until(first, active, [&] { return active.deliveries.size() == 3; });
  second.pump(standby, Deadline::in(milliseconds(200)));
  assert_int_equal(standby.deliveries.size(), 0);
}

void test_setup_reports_drift_with_both_values_and_goes_on(void**) {
  auto broker = connect();
  auto topology = own_topology("drift");
  declare(broker, topology, {endpoints[0]});
  UnroutedBound smaller;
  smaller.bytes = 1000;
  auto lines = declare(broker, topology, endpoints, smaller);
  auto text = refusals(lines);
  assert_holds(text, "queue " + topology.unrouted() + ": x-max-length-bytes is '1073741824' on the broker");
  assert_holds(text, "'1000' in this configuration");
  assert_holds(text, "nothing was changed");
  assert_int_equal(std::count(text.begin(), text.end(), '\n'), 1);
  assert_int_equal(messages(broker, topology.queue("crm")), 0);  // what comes after it was declared
}

void test_setup_with_a_pattern_that_matches_nothing_says_so(void**) {
  auto broker = connect();
  auto topology = own_topology("pattern");
  auto text = refusals(declare(broker, topology, {{"crm", {"a.b.c.d", "Frontend.*"}}}));
  assert_holds(text, "endpoint crm cannot subscribe to a.b.c.d");
  send(broker, topology.exchange(), {"Frontend.Customer.Signup"});
  assert_int_equal(messages(broker, topology.queue("crm")), 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_setup_twice_changes_nothing_and_refuses_nothing),
      checked(test_setup_routes_events_to_each_subscriber_once),
      checked(test_setup_leads_dead_letters_to_their_endpoint),
      checked(test_setup_lets_one_consumer_be_active),
      checked(test_setup_reports_drift_with_both_values_and_goes_on),
      checked(test_setup_with_a_pattern_that_matches_nothing_says_so),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// TLS towards the broker: verified, or refused.
#include "test/integration/broker.hpp"

using namespace muskrat;
using namespace muskrat::integration;
using muskrat::unit::assert_holds;

namespace {

amqp::Address tls_address(const std::string& host, const std::string& ca) {
  auto address = amqp::parse_url("amqps://guest:guest@" + host + ":" + setting("MUSKRAT_TEST_AMQPS_PORT"));
  if (!ca.empty()) address.tls_ca = setting("MUSKRAT_TEST_CERTIFICATES") + "/" + ca;
  return address;
}

std::string refusal(const amqp::Address& address) {
  return failure([&] { amqp::Connection::open(address, "test", soon()); });
}

void test_tls_with_the_right_ca_carries_large_messages_both_ways(void**) {
  auto broker = amqp::Connection::open(tls_address("localhost", "ca.pem"), "test", soon());
  auto queue = broker.declare_temporary_queue(soon());
  broker.confirm_select(soon());
  broker.qos(1000, soon());
  broker.consume(queue, soon());
  Recorder recorder;
  for (int i = 0; i < 20; ++i) {
    while (publish(broker, queue, std::string(300'000, 'x')) == amqp::Sent::would_block) broker.pump(recorder, soon());
  }
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == 20 && recorder.deliveries.size() == 20; });
  for (auto& delivery : recorder.deliveries) assert_int_equal(delivery.body.size(), 300'000);
  broker.close(soon());
}

void test_tls_idle_services_heartbeats(void**) {
  auto address = tls_address("localhost", "ca.pem");
  address.heartbeat = std::chrono::seconds(1);
  auto broker = amqp::Connection::open(address, "test", soon());
  Recorder recorder;
  auto until = Deadline::in(std::chrono::seconds(5));
  while (!until.passed()) broker.pump(recorder, until);
  (void)broker.declare_temporary_queue(soon());
}

void test_tls_with_another_ca_is_refused(void**) {
  assert_holds(refusal(tls_address("localhost", "other-ca.pem")), "with TLS");
  assert_holds(refusal(tls_address("localhost", "other-ca.pem")), "broker.tls.ca");
}

void test_tls_with_the_systems_cas_refuses_a_private_one(void**) {
  assert_holds(refusal(tls_address("localhost", "")), "with TLS");
}

void test_tls_with_another_host_name_is_refused(void**) {
  assert_holds(refusal(tls_address("127.0.0.1", "ca.pem")), "hostname");
}

void test_tls_unverified_on_request_connects(void**) {
  auto address = tls_address("127.0.0.1", "");
  address.tls_verify = false;
  auto broker = amqp::Connection::open(address, "test", soon());
  (void)broker.declare_temporary_queue(soon());
}

void test_tls_with_a_missing_ca_file_says_which(void**) {
  assert_holds(refusal(tls_address("localhost", "no-such.pem")), "no-such.pem");
}

void test_tls_to_a_plain_port_gives_up(void**) {
  auto address = tls_address("localhost", "ca.pem");
  address.port = amqp::parse_url(setting("MUSKRAT_TEST_AMQP_URL")).port;
  Stopwatch watch;
  auto text = failure([&] { amqp::Connection::open(address, "test", Deadline::in(std::chrono::seconds(2))); });
  assert_true(watch.ms() < 4000);
  assert_holds(text, "with TLS");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_tls_with_the_right_ca_carries_large_messages_both_ways),
      checked(test_tls_idle_services_heartbeats),
      checked(test_tls_with_another_ca_is_refused),
      checked(test_tls_with_the_systems_cas_refuses_a_private_one),
      checked(test_tls_with_another_host_name_is_refused),
      checked(test_tls_unverified_on_request_connects),
      checked(test_tls_with_a_missing_ca_file_says_which),
      checked(test_tls_to_a_plain_port_gives_up),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

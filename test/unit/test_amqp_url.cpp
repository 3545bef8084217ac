// The broker's URL.
#include "common/amqp.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

void test_url_in_full_is_taken_apart(void**) {
  auto address = amqp::parse_url("amqp://us%40er:p%3Aa%2Fss@broker.example:5673/stag%2Fing");
  assert_text(address.host, "broker.example");
  assert_int_equal(address.port, 5673);
  assert_text(address.user, "us@er");
  assert_text(address.password, "p:a/ss");
  assert_text(address.vhost, "stag/ing");
  assert_false(address.tls);
}

void test_url_of_a_host_alone_gets_defaults(void**) {
  for (const char* url : {"amqp://broker", "amqp://broker/%2f"}) {
    auto address = amqp::parse_url(url);
    assert_text(address.host, "broker");
    assert_int_equal(address.port, 5672);
    assert_text(address.user, "guest");
    assert_text(address.vhost, "/");
  }
}

void test_url_with_nothing_after_the_slash_means_the_default_vhost(void**) {
  assert_text(amqp::parse_url("amqp://broker/").vhost, "/");
}

void test_url_amqps_asks_for_verified_tls(void**) {
  auto address = amqp::parse_url("amqps://broker");
  assert_true(address.tls);
  assert_true(address.tls_verify);
  assert_int_equal(address.port, 5671);
}

void test_url_with_ipv6_keeps_the_colons(void**) {
  auto address = amqp::parse_url("amqp://u:p@[fe80::1]:5680/v");
  assert_text(address.host, "fe80::1");
  assert_int_equal(address.port, 5680);
  assert_int_equal(amqp::parse_url("amqp://[::1]").port, 5672);
}

void test_url_with_an_at_in_the_password_splits_at_the_last(void**) {
  auto address = amqp::parse_url("amqp://u:p@ss@broker");
  assert_text(address.password, "p@ss");
  assert_text(address.host, "broker");
}

void refused(const char* url, const char* reason) {
  std::string text;
  auto remedy = Remedy::reconnect;
  try {
    amqp::parse_url(url);
  } catch (const Failure& failure) {
    text = failure.what();
    remedy = failure.remedy();
  }
  assert_holds(text, reason);
  assert_true(remedy == Remedy::stop);
  assert_lacks(text, "hunter2");
}

void test_url_with_a_fault_names_it_and_never_shows_the_password(void**) {
  refused("http://u:hunter2@broker", "does not begin with amqp");
  refused("u:hunter2@broker", "does not begin with amqp");
  refused("amqp://u:hunter2@broker:0/", "port");
  refused("amqp://u:hunter2@broker:65536/", "port");
  refused("amqp://u:hunter2@broker:5672x/", "port");
  refused("amqp://u:hunter2@broker:/", "port");
  refused("amqp://u:hunter2@/v", "no host");
  refused("amqp://u:hunter2@[::1/v", "]");
  refused("amqp://u:hunter2@[::1]x/v", "between ] and the port");
  refused("amqp://u:hunter2%4@broker", "broken %-escape in its password");
  refused("amqp://u:hunter2%00@broker", "broken %-escape in its password");
  refused("amqp://:hunter2@broker", "empty user");
  refused("amqp://u:hunter2@broker/a/b", "more than one /");
  refused("amqp://u:hunter2@broker/v?heartbeat=5", "options after a ?");
}

void test_place_names_host_and_vhost_without_secrets(void**) {
  auto place = amqp::parse_url("amqp://u:hunter2@broker/v").place();
  assert_text(place, "broker:5672 vhost v");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_url_in_full_is_taken_apart),
      checked(test_url_of_a_host_alone_gets_defaults),
      checked(test_url_with_nothing_after_the_slash_means_the_default_vhost),
      checked(test_url_amqps_asks_for_verified_tls),
      checked(test_url_with_ipv6_keeps_the_colons),
      checked(test_url_with_an_at_in_the_password_splits_at_the_last),
      checked(test_url_with_a_fault_names_it_and_never_shows_the_password),
      checked(test_place_names_host_and_vhost_without_secrets),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// An Event as an AMQP message, and back.
#include "common/wire.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_text;

namespace {

Event sample() {
  Event event;
  event.routing_key = "Frontend.Customer.Signup";
  event.message_id = "0190c3f4-0000-7000-8000-000000000001";
  event.key = R"(Frontend.Customer:[48239])";
  event.source = "frontend";
  event.op = Op::remove;
  event.epoch = 1'760'000'000;
  event.seq = int64_t{9'007'199'254'740'993};  // above 2^53
  event.captured_us = 1'760'000'000'123'456;
  event.omitted = R"(["photo"])";
  event.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  event.body = R"({"id":48239})";
  return event;
}

// What the broker would hand to a consumer.
amqp::Delivery deliver(const amqp::Message& message) {
  amqp::Delivery delivery;
  delivery.routing_key = message.routing_key;
  delivery.body = message.body;
  delivery.message_id = message.message_id;
  delivery.content_type = message.content_type;
  delivery.type = message.type;
  delivery.app_id = message.app_id;
  delivery.correlation_id = message.correlation_id;
  delivery.timestamp_s = message.timestamp_s;
  for (const auto& header : message.headers) {
    if (auto* text = std::get_if<std::string_view>(&header.value))
      delivery.headers[std::string(header.name)] = std::string(*text);
    else
      delivery.headers[std::string(header.name)] = std::get<int64_t>(header.value);
  }
  return delivery;
}

void test_message_to_one_endpoint_goes_to_its_queue_and_keeps_its_routing_key(void**) {
  auto event = sample();
  event.op = Op::backfill;
  event.as = "Signup Update";
  auto message = wire::message_to(event, "muskrat.analytics");
  assert_text(message.exchange, "");
  assert_text(message.routing_key, "muskrat.analytics");
  assert_text(message.type, "Signup");
  assert_true(message.mandatory);
  Event back;
  std::string why;
  assert_true(wire::event_of(deliver(message), back, why));
  assert_text(back.routing_key, "Frontend.Customer.Signup");
  assert_text(back.as, "Signup Update");
  assert_text(back.message_id, event.message_id);
  assert_int_equal(back.seq, event.seq);
}

void test_message_carries_the_documented_properties(void**) {
  auto event = sample();
  auto message = wire::message_of(event, "muskrat");
  assert_text(message.exchange, "muskrat");
  assert_text(message.routing_key, "Frontend.Customer.Signup");
  assert_text(message.type, "Signup");
  assert_text(message.app_id, "muskrat");
  assert_text(message.content_type, "application/json");
  assert_text(message.correlation_id, event.key);
  assert_int_equal(message.timestamp_s, 1'760'000'000);
  assert_true(message.persistent && message.mandatory);
  auto headers = deliver(message).headers;
  assert_text(std::get<std::string>(headers.at("x-muskrat-op")), "delete");
  assert_int_equal(std::get<int64_t>(headers.at("timestamp_in_ms")), 1'760'000'000'123);
  assert_int_equal(headers.size(), 8);
}

void test_event_survives_the_round_trip(void**) {
  auto event = sample();
  Event back;
  std::string why;
  assert_true(wire::event_of(deliver(wire::message_of(event, "muskrat")), back, why));
  assert_text(back.routing_key, event.routing_key);
  assert_text(back.message_id, event.message_id);
  assert_text(back.key, event.key);
  assert_text(back.source, event.source);
  assert_true(back.op == event.op);
  assert_true(back.epoch == event.epoch && back.seq == event.seq);
  assert_true(back.captured_us == event.captured_us / 1000 * 1000);  // milliseconds travel
  assert_text(back.omitted, event.omitted);
  assert_text(back.traceparent, event.traceparent);
  assert_text(back.body, event.body);
}

void test_message_of_a_bare_event_leaves_optional_headers_out(void**) {
  Event event;
  event.routing_key = "A.B.C";
  auto headers = deliver(wire::message_of(event, "x")).headers;
  assert_int_equal(headers.count("x-muskrat-omitted"), 0);
  assert_int_equal(headers.count("traceparent"), 0);
  assert_int_equal(headers.count("x-muskrat-key"), 0);
}

void test_message_with_a_long_key_cuts_the_property_between_characters(void**) {
  Event event;
  event.routing_key = "A.B.C";
  event.key = "A.B:[\"" + std::string(248, 'k') + "äää\"]";  // byte 255 is the middle of an ä
  auto message = wire::message_of(event, "x");
  assert_int_equal(message.correlation_id.size(), 254);
  assert_text(std::get<std::string>(deliver(message).headers.at("x-muskrat-key")), event.key);
}

void test_event_under_another_routing_key_keeps_its_own(void**) {
  amqp::Delivery delivery;
  delivery.routing_key = "analytics";  // a dead letter travels under its endpoint's name
  delivery.headers["x-muskrat-routing-key"] = std::string("Frontend.Customer.Signup");
  Event event;
  std::string why;
  assert_true(wire::event_of(std::move(delivery), event, why));
  assert_text(event.routing_key, "Frontend.Customer.Signup");
}

void test_event_of_a_foreign_message_is_an_emit_with_blanks(void**) {
  amqp::Delivery delivery;
  delivery.routing_key = "Frontend.Customer.Signup";
  delivery.body = "{}";
  delivery.timestamp_s = 1'760'000'000;
  delivery.headers["x-muskrat-seq"] = std::string("not a number");
  Event event;
  std::string why;
  assert_true(wire::event_of(std::move(delivery), event, why));
  assert_true(event.op == Op::emit);
  assert_true(event.key.empty() && event.seq == 0 && event.epoch == 0);
  assert_true(event.captured_us == 1'760'000'000'000'000);
}

void test_event_of_a_foreign_routing_key_says_why(void**) {
  amqp::Delivery delivery;
  delivery.routing_key = "just-one";
  Event event;
  std::string why;
  assert_false(wire::event_of(std::move(delivery), event, why));
  assert_holds(why, "1 word");
}

void test_event_whose_message_id_or_key_is_no_text_is_none(void**) {
  const auto why_not = [](const std::string& message_id, const std::string& key) {
    amqp::Delivery delivery;
    delivery.routing_key = "A.B.C";
    delivery.message_id = message_id;
    delivery.headers["x-muskrat-key"] = key;
    Event event;
    std::string why;
    return wire::event_of(std::move(delivery), event, why) ? "" : why;
  };
  assert_text(why_not("m\r\nX-Evil: 1", ""), "the message_id holds control characters");
  assert_text(why_not("m\x7f", ""), "the message_id holds control characters");
  assert_text(why_not("m\xff", ""), "the message_id is no UTF-8 text");
  assert_text(why_not("m", "k\xc3"), "the key is no UTF-8 text");
  assert_text(why_not("m", std::string("k\0", 2)), "the key is no UTF-8 text");
  assert_text(why_not("mä", "kä\t\x7f"), "");
  assert_text(why_not("", ""), "");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_message_carries_the_documented_properties),
      checked(test_message_to_one_endpoint_goes_to_its_queue_and_keeps_its_routing_key),
      checked(test_event_survives_the_round_trip),
      checked(test_message_of_a_bare_event_leaves_optional_headers_out),
      checked(test_message_with_a_long_key_cuts_the_property_between_characters),
      checked(test_event_under_another_routing_key_keeps_its_own),
      checked(test_event_of_a_foreign_message_is_an_emit_with_blanks),
      checked(test_event_of_a_foreign_routing_key_says_why),
      checked(test_event_whose_message_id_or_key_is_no_text_is_none),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// The rabbitmq-c wrapper against a RabbitMQ server: publishing, consuming, refusals.
#include <map>
#include <thread>

#include <unistd.h>

#include "common/amqp.hpp"
#include "test/integration/broker.hpp"

using namespace muskrat;
using namespace muskrat::integration;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

// ---- publishing ----

void test_every_publish_of_a_window_is_confirmed_once(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  broker.confirm_select(soon());
  Recorder recorder;
  for (int i = 1; i <= 3000; ++i) {
    assert_true(publish(broker, queue, "body") == amqp::Sent::sent);
    assert_int_equal(broker.last_tag(), i);
    if (i % 500 == 0) broker.pump(recorder, Deadline::in(milliseconds(0)));
  }
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == 3000; });
  assert_true(recorder.nacked.empty());
  assert_int_equal(*recorder.confirmed.rbegin(), 3000);
  assert_int_equal(broker.queue_state(queue, soon())->messages, 3000);
}

void test_mandatory_message_for_nobody_is_returned_before_its_confirm(void**) {
  auto broker = connect();
  broker.confirm_select(soon());
  Recorder recorder;
  publish(broker, "no-such-queue", "body", "id-1");
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == 1; });
  assert_int_equal(recorder.returns.size(), 1);
  assert_int_equal(recorder.returns[0].code, 312);
  assert_text(recorder.returns[0].message_id, "id-1");
  assert_text(recorder.returns[0].routing_key, "no-such-queue");
  assert_true(recorder.order == std::vector<std::string>({"return", "confirm"}));
}

void test_returned_large_message_does_not_disturb_what_follows(void**) {
  auto broker = connect();
  broker.confirm_select(soon());
  Recorder recorder;
  publish(broker, "no-such-queue", std::string(500'000, 'r'), "id-1");
  publish(broker, "no-such-queue", "", "id-2");
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == 2; });
  assert_int_equal(recorder.returns.size(), 2);
  assert_text(recorder.returns[1].message_id, "id-2");
}

void test_publish_to_a_missing_exchange_closes_the_channel_not_the_connection(void**) {
  auto broker = connect();
  broker.confirm_select(soon());
  amqp::Message message;
  message.exchange = "no-such-exchange";
  message.routing_key = "a.b.c";
  broker.publish(message, soon());
  Recorder recorder;
  auto error = channel_error([&] { pump_until(broker, recorder, [] { return false; }); });
  assert_int_equal(error.code, 404);
  assert_holds(error.text, "no-such-exchange");
  assert_holds(failure([&] { publish(broker, "q", "b"); }), "open_channel() comes first");
  broker.open_channel(soon());
  assert_int_equal(broker.last_tag(), 0);
  auto queue = broker.declare_temporary_queue(soon());
  broker.confirm_select(soon());
  publish(broker, queue, "body");
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == 1; });
}

void test_names_longer_than_amqp_carries_are_refused_before_writing(void**) {
  auto broker = connect();
  assert_holds(failure([&] { publish(broker, std::string(256, 'k'), "b"); }), "longer than 255 bytes");
  assert_false(broker.declare_temporary_queue(soon()).empty());
}

// ---- messages whole ----

void assert_arrive_whole(const std::vector<size_t>& sizes) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  broker.qos(100, soon());
  broker.consume(queue, soon());
  Recorder recorder;
  for (size_t size : sizes) publish(broker, queue, std::string(size, 'x'), "id-" + std::to_string(size));
  pump_until(broker, recorder, [&] { return recorder.deliveries.size() == sizes.size(); });
  for (size_t i = 0; i < sizes.size(); ++i) {
    auto& delivery = recorder.deliveries[i];
    assert_int_equal(delivery.body.size(), sizes[i]);
    assert_true(delivery.body.find_first_not_of('x') == std::string::npos);
    assert_text(delivery.message_id, "id-" + std::to_string(sizes[i]));
    assert_int_equal(delivery.tag, i + 1);
    assert_false(delivery.redelivered);
  }
  broker.ack(sizes.size(), true, soon());
}

void test_message_of_any_size_arrives_whole_with_properties(void**) {
  // around frame_max (131072) and what is left of it for a body (8 less)
  assert_arrive_whole({0, 1, 131063, 131064, 131065, 131072, 262128, 1'000'000, 5'000'000});
}

int shrink_frames(void**) {
  broker_ctl("eval 'application:set_env(rabbit, frame_max, 8192).'");
  return 0;
}

int restore_frames(void**) {
  broker_ctl("eval 'application:set_env(rabbit, frame_max, 131072).'");
  return 0;
}

// A broker closes the connection over a frame larger than it agreed to.
void test_broker_of_small_frames_gets_none_larger(void**) {
  assert_arrive_whole({0, 8183, 8184, 8185, 8192, 16368, 300'000});
}

void test_headers_that_just_fit_a_frame_are_carried_and_no_larger(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  broker.confirm_select(soon());
  Recorder recorder;
  assert_int_equal(broker.frame_most(), 8192);
  amqp::Message message;
  message.routing_key = queue;
  message.message_id = "id";
  const std::string text(8192 - amqp::properties_frame_bytes(message) - 14, 'h');
  message.headers = {{"text", text}};
  assert_int_equal(amqp::properties_frame_bytes(message), 8192);
  assert_true(broker.publish(message, soon()) == amqp::Sent::sent);
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == 1; });
  message.headers = {{"texts", text}};
  assert_int_equal(amqp::properties_frame_bytes(message), 8193);
  assert_holds(failure([&] { broker.publish(message, soon()); }), "publishing");
}

void test_properties_and_headers_survive_the_trip(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  broker.qos(10, soon());
  broker.consume(queue, soon());
  amqp::Message message;
  message.exchange = "";
  message.routing_key = queue;
  message.body = "{}";
  message.message_id = "m";
  message.content_type = "application/json";
  message.type = "Signup";
  message.app_id = "muskrat";
  message.correlation_id = "key";
  message.timestamp_s = 1'760'000'000;
  message.headers = {{"text", "ü"}, {"number", int64_t{-9'007'199'254'740'993}}};
  broker.publish(message, soon());
  Recorder recorder;
  pump_until(broker, recorder, [&] { return recorder.deliveries.size() == 1; });
  auto& got = recorder.deliveries[0];
  assert_text(got.content_type, "application/json");
  assert_text(got.type, "Signup");
  assert_text(got.app_id, "muskrat");
  assert_text(got.correlation_id, "key");
  assert_int_equal(got.timestamp_s, 1'760'000'000);
  assert_text(std::get<std::string>(got.headers.at("text")), "ü");
  assert_true(std::get<int64_t>(got.headers.at("number")) == -9'007'199'254'740'993);
}

// ---- consuming ----

void test_close_channel_gives_messages_back_in_order_at_the_front(void**) {
  auto broker = connect();
  auto queue = quorum_queue(broker, "order");
  fill(broker, queue, 1, 20);
  broker.qos(10, soon());
  broker.consume(queue, soon());
  Recorder first;
  pump_until(broker, first, [&] { return first.deliveries.size() == 10; });
  broker.ack(2, true, soon());
  broker.close_channel(soon());
  broker.open_channel(soon());
  broker.qos(100, soon());
  broker.consume(queue, soon());
  Recorder second;
  pump_until(broker, second, [&] { return second.deliveries.size() == 18; });
  for (size_t i = 0; i < 18; ++i) assert_text(second.deliveries[i].body, std::to_string(i + 3));
  assert_true(second.deliveries[0].redelivered);
  assert_int_equal(second.deliveries[0].tag, 1);
  broker.ack(18, true, soon());
}

void test_deliveries_that_meet_a_request_are_kept_in_order(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  fill(broker, queue, 1, 300);
  broker.qos(1000, soon());
  broker.consume(queue, soon());
  // Each of these waits for an answer that stands behind deliveries.
  for (int i = 0; i < 5; ++i) (void)broker.queue_state(queue, soon());
  assert_true(broker.buffered());
  Recorder recorder;
  pump_until(broker, recorder, [&] { return recorder.deliveries.size() == 300; });
  for (size_t i = 0; i < 300; ++i) assert_text(recorder.deliveries[i].body, std::to_string(i + 1));
}

void test_confirms_that_meet_a_request_are_kept(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  broker.confirm_select(soon());
  for (int i = 0; i < 200; ++i) publish(broker, queue, "b");
  for (int i = 0; i < 5; ++i) (void)broker.queue_state(queue, soon());
  Recorder recorder;
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == 200; });
}

void test_deleted_queue_is_told_to_its_consumer(void**) {
  auto broker = connect();
  auto queue = quorum_queue(broker, "deleted");
  broker.qos(10, soon());
  broker.consume(queue, soon());
  broker_ctl("delete_queue " + queue);
  Recorder recorder;
  pump_until(broker, recorder, [&] { return recorder.cancelled; });
  assert_false(broker.queue_state(queue, soon()).has_value());
}

void test_unacked_messages_go_to_the_next_when_the_connection_just_ends(void**) {
  auto standby = connect();
  std::string queue;
  {
    auto broker = connect();
    queue = quorum_queue(broker, "takeover");
    fill(broker, queue, 1, 3);
    broker.qos(10, soon());
    broker.consume(queue, soon());
    Recorder recorder;
    pump_until(broker, recorder, [&] { return recorder.deliveries.size() == 3; });
  }
  standby.qos(10, soon());
  standby.consume(queue, soon());
  Recorder recorder;
  pump_until(standby, recorder, [&] { return recorder.deliveries.size() == 3; });
  assert_text(recorder.deliveries[0].body, "1");
  standby.ack(3, true, soon());
}

// ---- asking ----

void test_looking_for_what_is_missing_leaves_an_open_channel(void**) {
  auto broker = connect();
  assert_false(broker.exchange_exists("no-such-exchange", soon()));
  assert_false(broker.queue_state("no-such-queue", soon()).has_value());
  assert_true(broker.exchange_exists("amq.topic", soon()));
  assert_false(broker.declare_temporary_queue(soon()).empty());
}

void test_declaring_with_other_arguments_is_a_406_that_says_which(void**) {
  auto broker = connect();
  auto queue = quorum_queue(broker, "drift");
  auto error = channel_error([&] {
    broker.declare_queue(queue, {{"x-queue-type", std::string("quorum")}, {"x-max-length", int64_t{5}}}, soon());
  });
  assert_int_equal(error.code, 406);
  assert_holds(error.text, "x-max-length");
  broker.open_channel(soon());
  assert_true(broker.queue_state(queue, soon()).has_value());
}

void test_binding_routes_and_unbinding_stops(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  broker.bind_queue(queue, "amq.topic", "Frontend.#", soon());
  broker.confirm_select(soon());
  Recorder recorder;
  publish_to(broker, "amq.topic", "Frontend.Customer.Signup", "b");
  broker.unbind_queue(queue, "amq.topic", "Frontend.#", soon());
  publish_to(broker, "amq.topic", "Frontend.Customer.Signup", "b");
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == 2; });
  assert_int_equal(recorder.returns.size(), 1);
  assert_int_equal(broker.queue_state(queue, soon())->messages, 1);
}

void test_deleting_a_queue_says_what_was_in_it(void**) {
  auto broker = connect();
  auto queue = quorum_queue(broker, "delete");
  fill(broker, queue, 1, 3);
  assert_int_equal(broker.delete_queue(queue, soon()), 3);
  assert_false(broker.queue_state(queue, soon()).has_value());
  assert_int_equal(broker.delete_queue(queue, soon()), 0);
}

// ---- opening ----

void test_open_tells_the_server_and_a_clean_close_ends(void**) {
  auto broker = connect();
  assert_holds(broker.server(), "RabbitMQ ");
  broker.close(soon());
  assert_holds(failure([&] { broker.declare_temporary_queue(soon()); }), "has failed before");
}

void test_open_with_a_wrong_password_names_user_and_vhost_only(void**) {
  auto address = amqp::parse_url(setting("MUSKRAT_TEST_AMQP_URL"));
  address.password = "hunter2";
  auto text = failure([&] { amqp::Connection::open(address, "test", soon()); });
  assert_holds(text, "as user guest on vhost /");
  assert_holds(text, "403 ACCESS_REFUSED");
  assert_lacks(text, "hunter2");
}

void test_open_with_a_missing_vhost_says_so(void**) {
  auto address = amqp::parse_url(setting("MUSKRAT_TEST_AMQP_URL"));
  address.vhost = "nowhere";
  assert_holds(failure([&] { amqp::Connection::open(address, "test", soon()); }), "vhost nowhere not found");
}

void test_open_where_nobody_listens_says_refused(void**) {
  auto text = failure([&] { amqp::Connection::open(amqp::parse_url("amqp://127.0.0.1:1"), "test", soon()); });
  assert_holds(text, "127.0.0.1:1: Connection refused");
}

void test_open_of_an_unknown_host_says_so(void**) {
  auto text = failure([&] { amqp::Connection::open(amqp::parse_url("amqp://no-such-host.invalid"), "test", soon()); });
  assert_holds(text, "cannot find the address of the broker's host no-such-host.invalid");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_every_publish_of_a_window_is_confirmed_once),
      checked(test_mandatory_message_for_nobody_is_returned_before_its_confirm),
      checked(test_returned_large_message_does_not_disturb_what_follows),
      checked(test_publish_to_a_missing_exchange_closes_the_channel_not_the_connection),
      checked(test_names_longer_than_amqp_carries_are_refused_before_writing),
      checked(test_message_of_any_size_arrives_whole_with_properties),
      checked_with(test_broker_of_small_frames_gets_none_larger, shrink_frames, restore_frames),
      checked_with(test_headers_that_just_fit_a_frame_are_carried_and_no_larger, shrink_frames, restore_frames),
      checked(test_properties_and_headers_survive_the_trip),
      checked(test_close_channel_gives_messages_back_in_order_at_the_front),
      checked(test_deliveries_that_meet_a_request_are_kept_in_order),
      checked(test_confirms_that_meet_a_request_are_kept),
      checked(test_deleted_queue_is_told_to_its_consumer),
      checked(test_unacked_messages_go_to_the_next_when_the_connection_just_ends),
      checked(test_looking_for_what_is_missing_leaves_an_open_channel),
      checked(test_declaring_with_other_arguments_is_a_406_that_says_which),
      checked(test_binding_routes_and_unbinding_stops),
      checked(test_deleting_a_queue_says_what_was_in_it),
      checked(test_open_tells_the_server_and_a_clean_close_ends),
      checked(test_open_with_a_wrong_password_names_user_and_vhost_only),
      checked(test_open_with_a_missing_vhost_says_so),
      checked(test_open_where_nobody_listens_says_refused),
      checked(test_open_of_an_unknown_host_says_so),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

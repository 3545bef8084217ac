// Frames on their way out, seen from the other end of a socket.
#include <array>

#include <sys/socket.h>
#include <unistd.h>

#include "common/amqp_impl.hpp"
#include "common/amqp_send_buffer.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;
using amqp::SendBuffer;

namespace {

struct Pair {
  Pair() {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
    const int bytes = 4096;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }
  ~Pair() {
    for (const int end : ends) close(end);
  }
  std::string read_all() {
    std::string all;
    std::array<char, 65536> part{};
    for (ssize_t got; (got = read(ends[1], part.data(), part.size())) > 0;)
      all.append(part.data(), static_cast<size_t>(got));
    return all;
  }
  std::array<int, 2> ends{};
};

amqp_basic_properties_t with_id(std::string_view id) {
  amqp_basic_properties_t properties{};
  properties._flags = AMQP_BASIC_MESSAGE_ID_FLAG;
  properties.message_id = amqp::bytes_of(id);
  return properties;
}

amqp::Message message_of(std::string_view body) {
  amqp::Message message;
  message.exchange = "x";
  message.routing_key = "A.B.C";
  message.body = body;
  message.mandatory = true;
  return message;
}

// Each frame as "type:payload bytes", with its channel and end checked.
std::string frames_in(const std::string& bytes) {
  std::string found;
  for (size_t at = 0; at < bytes.size();) {
    const auto number = [&](size_t from, int count) {
      size_t value = 0;
      for (int i = 0; i < count; ++i)
        value = value << 8 | static_cast<unsigned char>(bytes.at(from + static_cast<size_t>(i)));
      return value;
    };
    const size_t size = number(at + 3, 4);
    assert_int_equal(number(at + 1, 2), 1);
    assert_int_equal(number(at + 7 + size, 1), AMQP_FRAME_END);
    found += (found.empty() ? "" : " ") + std::to_string(number(at, 1)) + ":" + std::to_string(size);
    at += size + 8;
  }
  return found;
}

void test_send_buffer_message_is_method_header_and_body(void**) {
  Pair pair;
  SendBuffer buffer(4096);
  auto properties = with_id("m1");
  assert_int_equal(buffer.add(message_of("{}"), properties), AMQP_STATUS_OK);
  assert_true(buffer.write_to(pair.ends[0]) == SendBuffer::Left::nothing);
  assert_true(buffer.empty());
  const std::string expected(
      "\1\0\1\0\0\0\x0f\0\x3c\0\x28\0\0\1x\5A.B.C\1\xce"
      "\2\0\1\0\0\0\x11\0\x3c\0\0\0\0\0\0\0\0\0\2\0\x80\2m1\xce"
      "\3\0\1\0\0\0\2{}\xce",
      23 + 25 + 10);
  assert_text(pair.read_all(), expected);
}

void test_send_buffer_empty_body_has_no_body_frame(void**) {
  Pair pair;
  SendBuffer buffer(4096);
  auto properties = with_id("m1");
  buffer.add(message_of(""), properties);
  buffer.write_to(pair.ends[0]);
  assert_text(frames_in(pair.read_all()), "1:15 2:17");
}

void test_send_buffer_body_is_cut_at_the_frames_limit(void**) {
  Pair pair;
  SendBuffer buffer(131072);
  buffer.limit_frames(1000);
  auto properties = with_id("m1");
  const std::string exact(992, 'a'), more(993, 'b');
  buffer.add(message_of(exact), properties);
  buffer.add(message_of(more), properties);
  std::string all;
  while (buffer.write_to(pair.ends[0]) == SendBuffer::Left::some) all += pair.read_all();
  all += pair.read_all();
  assert_text(frames_in(all), "1:15 2:17 3:992 1:15 2:17 3:992 3:1");
}

void test_send_buffer_socket_that_is_full_gets_the_rest_later_and_in_order(void**) {
  Pair pair;
  SendBuffer buffer(131072);
  auto properties = with_id("m1");
  std::string sent, all;
  for (int i = 0; i < 300; ++i) {
    const std::string body = std::to_string(i) + std::string(5000, 'x') + std::to_string(i);
    sent += body;
    buffer.add(message_of(body), properties);
    if (i % 7 == 0) buffer.write_to(pair.ends[0]);
    if (i % 50 == 0) all += pair.read_all();
  }
  assert_true(buffer.write_to(pair.ends[0]) == SendBuffer::Left::some);
  while (buffer.write_to(pair.ends[0]) == SendBuffer::Left::some) all += pair.read_all();
  all += pair.read_all();
  std::string bodies;
  for (size_t at = 0; at < all.size();) {
    const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(all.at(at + i))); };
    const size_t size = byte(3) << 24 | byte(4) << 16 | byte(5) << 8 | byte(6);
    if (all[at] == 3) bodies += all.substr(at + 7, size);
    at += size + 8;
  }
  assert_true(bodies == sent);
}

void test_send_buffer_headers_larger_than_a_frame_add_nothing(void**) {
  Pair pair;
  SendBuffer buffer(4096);
  const std::string large(5000, 'h');
  std::array<amqp_table_entry_t, 1> headers{amqp::table_entry("h", large)};
  auto properties = with_id("m1");
  buffer.add(message_of("first"), properties);
  const size_t before = buffer.size();
  properties._flags |= AMQP_BASIC_HEADERS_FLAG;
  properties.headers = {1, headers.data()};
  assert_true(buffer.add(message_of("second"), properties) < 0);
  assert_int_equal(buffer.size(), before);
  buffer.write_to(pair.ends[0]);
  assert_text(frames_in(pair.read_all()), "1:15 2:17 3:5");
}

void test_send_buffer_other_end_gone_has_failed(void**) {
  Pair pair;
  SendBuffer buffer(4096);
  auto properties = with_id("m1");
  buffer.add(message_of("{}"), properties);
  shutdown(pair.ends[1], SHUT_RDWR);
  assert_true(buffer.write_to(pair.ends[0]) == SendBuffer::Left::failed);
  assert_false(buffer.empty());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_send_buffer_message_is_method_header_and_body),
      checked(test_send_buffer_empty_body_has_no_body_frame),
      checked(test_send_buffer_body_is_cut_at_the_frames_limit),
      checked(test_send_buffer_socket_that_is_full_gets_the_rest_later_and_in_order),
      checked(test_send_buffer_headers_larger_than_a_frame_add_nothing),
      checked(test_send_buffer_other_end_gone_has_failed),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

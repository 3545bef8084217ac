#include "common/amqp_send_buffer.hpp"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "common/amqp_impl.hpp"

namespace muskrat::amqp {
namespace {

constexpr size_t header_bytes = 7;  // type, channel, size
constexpr size_t frame_bytes = header_bytes + 1;
constexpr char frame_end = static_cast<char>(AMQP_FRAME_END);
constexpr size_t method_bytes = 1024;  // two texts of 255 bytes at most
constexpr size_t kept_bytes = size_t{1} << 20;

}  // namespace

int SendBuffer::add(const Message& message, amqp_basic_properties_t_& properties) {
  const size_t pieces = message.body.size() / (frame_max_ - frame_bytes) + 1;
  const size_t most = method_bytes + frame_max_ + message.body.size() + pieces * frame_bytes;
  if (bytes_.size() < end_ + most) bytes_.resize(end_ + most);
  const size_t before = end_;
  int status = add_method(message);
  if (status >= 0) status = add_properties(message, properties);
  if (status < 0) {
    end_ = before;
    return status;
  }
  add_body(message.body);
  return AMQP_STATUS_OK;
}

SendBuffer::Left SendBuffer::write_to(int fd) {
  while (!empty()) {
    const ssize_t wrote = ::send(fd, bytes_.data() + begin_, size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Left::some : Left::failed;
    begin_ += static_cast<size_t>(wrote);
  }
  clear();
  return Left::nothing;
}

void SendBuffer::clear() {
  begin_ = end_ = 0;
  if (bytes_.size() <= kept_bytes) return;
  bytes_.clear();
  bytes_.shrink_to_fit();
}

void SendBuffer::put_number(uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) bytes_[end_++] = static_cast<char>(value >> shift);
}

void SendBuffer::begin_frame(int type) {
  frame_ = end_;
  put_number(static_cast<uint64_t>(type), 1);
  put_number(channel_number, 2);
  end_ += 4;
}

void SendBuffer::end_frame(size_t payload) {
  end_ = frame_ + 3;
  put_number(payload, 4);
  end_ += payload;
  bytes_[end_++] = frame_end;
}

int SendBuffer::add_method(const Message& message) {
  amqp_basic_publish_t publish{};
  publish.exchange = bytes_of(message.exchange);
  publish.routing_key = bytes_of(message.routing_key);
  publish.mandatory = message.mandatory ? 1 : 0;
  begin_frame(AMQP_FRAME_METHOD);
  put_number(AMQP_BASIC_PUBLISH_METHOD, 4);
  const int wrote = amqp_encode_method(AMQP_BASIC_PUBLISH_METHOD, &publish, {method_bytes, bytes_.data() + end_});
  if (wrote >= 0) end_frame(4 + static_cast<size_t>(wrote));
  return wrote;
}

int SendBuffer::add_properties(const Message& message, amqp_basic_properties_t_& properties) {
  constexpr size_t before = 12;  // class, weight, the body's size
  begin_frame(AMQP_FRAME_HEADER);
  put_number(AMQP_BASIC_CLASS, 2);
  put_number(0, 2);
  put_number(message.body.size(), 8);
  const int wrote =
      amqp_encode_properties(AMQP_BASIC_CLASS, &properties, {frame_max_ - frame_bytes - before, bytes_.data() + end_});
  if (wrote >= 0) end_frame(before + static_cast<size_t>(wrote));
  return wrote;
}

void SendBuffer::add_body(std::string_view body) {
  while (!body.empty()) {
    const std::string_view piece = body.substr(0, frame_max_ - frame_bytes);
    begin_frame(AMQP_FRAME_BODY);
    std::memcpy(bytes_.data() + end_, piece.data(), piece.size());
    end_frame(piece.size());
    body.remove_prefix(piece.size());
  }
}

}  // namespace muskrat::amqp

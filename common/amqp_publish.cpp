// Publishing: one message in, three or more frames out, its tag counted.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/ioctl.h>

#include "common/amqp_impl.hpp"

namespace muskrat::amqp {

namespace {

// So many bytes of messages are sent at once. With TLS: so many between two looks at the socket, well below what its
// buffer takes, so that a broker that has stopped reading (an alarm that has not been announced yet) is met before a
// message is half written.
constexpr size_t together_bytes = 65536;

// With TLS: a frame of a body, as large as a record of TLS, for which a socket that is writable has room. So no frame
// waits for the broker, and between two of them it is heard, and our caller does what else is due.
constexpr size_t piece_bytes = 16384 - 8;
constexpr milliseconds piece_limit{10'000};

void set(amqp_basic_properties_t& properties, amqp_flags_t flag, amqp_bytes_t amqp_basic_properties_t::*field,
         std::string_view value) {
  if (value.empty()) return;
  properties._flags |= flag;
  properties.*field = bytes_of(value);
}

amqp_basic_properties_t properties_of(const Message& message, std::vector<amqp_table_entry_t>& headers) {
  amqp_basic_properties_t properties{};
  using P = amqp_basic_properties_t;
  set(properties, AMQP_BASIC_MESSAGE_ID_FLAG, &P::message_id, message.message_id);
  set(properties, AMQP_BASIC_CONTENT_TYPE_FLAG, &P::content_type, message.content_type);
  set(properties, AMQP_BASIC_TYPE_FLAG, &P::type, message.type);
  set(properties, AMQP_BASIC_APP_ID_FLAG, &P::app_id, message.app_id);
  set(properties, AMQP_BASIC_CORRELATION_ID_FLAG, &P::correlation_id, message.correlation_id);
  properties._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
  properties.delivery_mode = message.persistent ? AMQP_DELIVERY_PERSISTENT : AMQP_DELIVERY_NONPERSISTENT;
  if (message.timestamp_s != 0) properties._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
  properties.timestamp = message.timestamp_s;
  headers.clear();
  for (const auto& header : message.headers)
    std::visit([&](auto value) { headers.push_back(table_entry(header.name, value)); }, header.value);
  if (!headers.empty()) properties._flags |= AMQP_BASIC_HEADERS_FLAG;
  properties.headers = {static_cast<int>(headers.size()), headers.data()};
  return properties;
}

}  // namespace

std::string too_long(const Message& message) {
  constexpr size_t most = 255;
  const std::pair<std::string_view, const char*> texts[] = {{message.exchange, "exchange"},
                                                            {message.routing_key, "routing key"},
                                                            {message.message_id, "message_id"},
                                                            {message.content_type, "content_type"},
                                                            {message.type, "type"},
                                                            {message.app_id, "app_id"},
                                                            {message.correlation_id, "correlation_id"}};
  for (const auto& [text, what] : texts)
    if (text.size() > most) return std::string(what) + " is longer than 255 bytes, which AMQP cannot carry";
  return "";
}

size_t properties_frame_bytes(const Message& message) {
  size_t bytes = 8 + 12 + 2 + 1;  // the frame's own; class, weight and the body's size; flags; delivery mode
  for (const std::string_view text :
       {message.message_id, message.content_type, message.type, message.app_id, message.correlation_id})
    bytes += text.empty() ? 0 : 1 + text.size();
  if (message.timestamp_s != 0) bytes += 8;
  if (!message.headers.empty()) bytes += 4;
  for (const auto& header : message.headers) {
    const auto* text = std::get_if<std::string_view>(&header.value);
    bytes += 1 + header.name.size() + 1 + (text != nullptr ? 4 + text->size() : 8);
  }
  return bytes;
}

size_t Connection::frame_most() const { return impl_->outgoing.frame_max(); }

void Connection::confirm_select(Deadline deadline) {
  impl_->expect_channel();
  amqp_confirm_select_t select{};
  impl_->ask("asking for confirms", AMQP_CONFIRM_SELECT_METHOD, &select, AMQP_CONFIRM_SELECT_OK_METHOD, deadline);
  impl_->confirming = true;
  impl_->last_tag = 0;
}

Sent Connection::publish(const Message& message, Deadline deadline) {
  auto& impl = *impl_;
  impl.expect_channel();
  if (const std::string why = too_long(message); !why.empty()) throw Failure(Remedy::stop, "a message's " + why);
  if (impl.blocked) return Sent::would_block;
  auto properties = properties_of(message, impl.header_entries);
  if (impl.tls) return impl.publish_with_tls(message, properties, deadline);
  if (impl.outgoing.size() >= together_bytes) {
    // A socket that has failed is pump()'s to tell of: the broker's reason may still be there to be read.
    impl.full = !impl.send_some() || !impl.outgoing.empty();
    if (impl.full) return Sent::would_block;
  }
  const int status = impl.outgoing.add(message, properties);
  if (status < 0) impl.lost("publishing", status);
  if (impl.confirming) ++impl.last_tag;
  return Sent::sent;
}

// Only rabbitmq-c can write to its TLS, and it waits where the socket has no room. A large body would make it wait for
// as long as the body takes: it goes out in pieces, with pump().
Sent Connection::Impl::publish_with_tls(const Message& message, amqp_basic_properties_t& properties,
                                        Deadline deadline) {
  if (unpolled_bytes >= together_bytes || !tls_body.empty()) {
    full = !send_some() || !tls_body.empty() || !writable();
    if (full) return Sent::would_block;
    unpolled_bytes = 0;
  }
  const bool whole = message.body.size() <= piece_bytes;
  guarded("publishing", deadline, [&] {
    return whole ? amqp_basic_publish(raw(), channel_number, bytes_of(message.exchange), bytes_of(message.routing_key),
                                      message.mandatory, 0, &properties, bytes_of(message.body))
                 : begin_with_tls(message, properties);
  });
  unpolled_bytes += std::min(message.body.size(), piece_bytes) + 512;
  if (!whole) tls_body = message.body;
  if (confirming) ++last_tag;
  send_some();
  return Sent::sent;
}

// All but the body. rabbitmq-c's status.
int Connection::Impl::begin_with_tls(const Message& message, amqp_basic_properties_t& properties) {
  amqp_basic_publish_t publish{};
  publish.exchange = bytes_of(message.exchange);
  publish.routing_key = bytes_of(message.routing_key);
  publish.mandatory = message.mandatory ? 1 : 0;
  const int status = amqp_send_method(raw(), channel_number, AMQP_BASIC_PUBLISH_METHOD, &publish);
  if (status < 0) return status;
  amqp_frame_t header{};
  header.frame_type = AMQP_FRAME_HEADER;
  header.channel = channel_number;
  header.payload.properties.class_id = AMQP_BASIC_CLASS;
  header.payload.properties.body_size = message.body.size();
  header.payload.properties.decoded = &properties;
  return amqp_send_frame(raw(), &header);
}

bool Connection::Impl::send_some_of_body() {
  const size_t most = std::min(piece_bytes, outgoing.frame_max() - 8);
  while (tls_body_sent < tls_body.size() && writable()) {
    const std::string_view piece = std::string_view(tls_body).substr(tls_body_sent, most);
    amqp_frame_t frame{};
    frame.frame_type = AMQP_FRAME_BODY;
    frame.channel = channel_number;
    frame.payload.body_fragment = bytes_of(piece);
    Watchdog::Guard guard(*watchdog, Deadline::in(piece_limit));
    const int status = amqp_send_frame(raw(), &frame);
    if (guard.fired()) lost("publishing", AMQP_STATUS_TIMEOUT);
    if (status < 0) return false;
    tls_body_sent += piece.size();
    last_sent = std::chrono::steady_clock::now();
  }
  if (tls_body_sent == tls_body.size()) {
    std::string().swap(tls_body);
    tls_body_sent = 0;
  }
  return true;
}

bool Connection::Impl::send_some() {
  if (!tls_body.empty()) return send_some_of_body();
  if (outgoing.empty()) return true;
  const size_t before = outgoing.size();
  const SendBuffer::Left left = outgoing.write_to(fd());
  if (outgoing.size() < before) last_sent = std::chrono::steady_clock::now();
  return left != SendBuffer::Left::failed;
}

void Connection::Impl::send_all(const char* doing, Deadline deadline) {
  while (true) {
    if (!send_some()) lost(strerror(errno) + std::string(" (while ") + doing + ")");
    if (!unsent()) return;
    if (deadline.passed()) lost(doing, AMQP_STATUS_TIMEOUT);
    pollfd entry{fd(), POLLOUT, 0};
    ::poll(&entry, 1, deadline.poll_timeout());
  }
}

int64_t Connection::unsent_bytes() const {
  int in_socket = 0;
  if (::ioctl(impl_->fd(), TIOCOUTQ, &in_socket) != 0) in_socket = 0;
  return static_cast<int64_t>(impl_->outgoing.size() + impl_->tls_body.size() - impl_->tls_body_sent) + in_socket;
}

uint64_t Connection::last_tag() const { return impl_->last_tag; }

}  // namespace muskrat::amqp

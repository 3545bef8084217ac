// Publishing: one message in, three or more frames out, its tag counted.
#include <cerrno>
#include <cstring>

#include <poll.h>

#include "common/amqp_impl.hpp"

namespace muskrat::amqp {

namespace {

// So many bytes of messages are sent at once. With TLS: so many between two looks at the socket, well below what its
// buffer takes, so that a broker that has stopped reading (an alarm that has not been announced yet) is met before a
// message is half written.
constexpr size_t together_bytes = 65536;

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

// Only rabbitmq-c can write to its TLS.
Sent Connection::Impl::publish_with_tls(const Message& message, amqp_basic_properties_t& properties,
                                        Deadline deadline) {
  if (unpolled_bytes >= together_bytes) {
    full = !writable();
    if (full) return Sent::would_block;
    unpolled_bytes = 0;
  }
  guarded("publishing", deadline, [&] {
    return amqp_basic_publish(raw(), channel_number, bytes_of(message.exchange), bytes_of(message.routing_key),
                              message.mandatory, 0, &properties, bytes_of(message.body));
  });
  unpolled_bytes += message.body.size() + 512;
  if (confirming) ++last_tag;
  return Sent::sent;
}

bool Connection::Impl::send_some() {
  if (outgoing.empty()) return true;
  const size_t before = outgoing.size();
  const SendBuffer::Left left = outgoing.write_to(fd());
  if (outgoing.size() < before) last_sent = std::chrono::steady_clock::now();
  return left != SendBuffer::Left::failed;
}

void Connection::Impl::send_all(const char* doing, Deadline deadline) {
  while (true) {
    if (!send_some()) lost(strerror(errno) + std::string(" (while ") + doing + ")");
    if (outgoing.empty()) return;
    if (deadline.passed()) lost(doing, AMQP_STATUS_TIMEOUT);
    pollfd entry{fd(), POLLOUT, 0};
    ::poll(&entry, 1, deadline.poll_timeout());
  }
}

uint64_t Connection::last_tag() const { return impl_->last_tag; }

}  // namespace muskrat::amqp

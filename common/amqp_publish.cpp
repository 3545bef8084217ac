// Publishing: one message in, three or more frames out, its tag counted.
#include "common/amqp_impl.hpp"

namespace muskrat::amqp {

namespace {

// Between two looks at the socket: well below what a socket's buffer takes, so that a broker that has stopped reading
// (an alarm that has not been announced yet) is met before a message is half written.
constexpr size_t poll_every_bytes = 65536;

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

void expect_short(std::string_view text, const char* what) {
  if (text.size() > 255)
    throw Failure(Remedy::stop,
                  std::string("a message's ") + what + " is longer than 255 bytes, which AMQP cannot carry");
}

void expect_sendable(const Message& message) {
  expect_short(message.exchange, "exchange");
  expect_short(message.routing_key, "routing key");
  expect_short(message.message_id, "message_id");
  expect_short(message.content_type, "content_type");
  expect_short(message.type, "type");
  expect_short(message.app_id, "app_id");
  expect_short(message.correlation_id, "correlation_id");
}

}  // namespace

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
  expect_sendable(message);
  if (impl.blocked) return Sent::would_block;
  if (impl.unpolled_bytes >= poll_every_bytes) {
    impl.full = !impl.writable();
    if (impl.full) return Sent::would_block;
    impl.unpolled_bytes = 0;
  }
  auto properties = properties_of(message, impl.header_entries);
  impl.guarded("publishing", deadline, [&] {
    return amqp_basic_publish(impl.raw(), channel_number, bytes_of(message.exchange), bytes_of(message.routing_key),
                              message.mandatory, 0, &properties, bytes_of(message.body));
  });
  impl.unpolled_bytes += message.body.size() + 512;
  if (impl.confirming) ++impl.last_tag;
  return Sent::sent;
}

uint64_t Connection::last_tag() const { return impl_->last_tag; }

}  // namespace muskrat::amqp

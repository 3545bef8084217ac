#include "common/wire.hpp"

#include <algorithm>

#include "common/json.hpp"

namespace muskrat::wire {

namespace {

void add_text(amqp::Message& message, std::string_view name, std::string_view value) {
  if (!value.empty()) message.headers.push_back({name, value});
}

// A property holds 255 bytes; a longer key stands whole in its header alone. Cut between characters: clients decode it.
std::string_view property_text(std::string_view text) {
  size_t end = std::min<size_t>(text.size(), 255);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

// Milliseconds where they ride along; else the property's whole seconds.
int64_t captured_us(const amqp::Delivery& delivery) {
  if (int64_t ms = delivery.headers.number(header_timestamp_ms); ms != 0) return ms * 1000;
  return static_cast<int64_t>(delivery.timestamp_s) * 1'000'000;
}

std::string own_routing_key(amqp::Delivery& delivery) {
  auto own = delivery.headers.text(header_routing_key);
  return own.empty() ? std::move(delivery.routing_key) : own;
}

// What goes into headers of requests, and into databases. Our own is always so.
bool is_usable(const Event& event, std::string& why) {
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (std::any_of(event.message_id.begin(), event.message_id.end(), control))
    return why = "the message_id holds control characters", false;
  const auto text = [&](const char* name, const std::string& value) {
    if (json::is_utf8(value) && value.find('\0') == std::string::npos) return true;
    why = std::string("the ") + name + " is no UTF-8 text";
    return false;
  };
  return text("message_id", event.message_id) && text("key", event.key) && text("source", event.source);
}

}  // namespace

amqp::Message message_of(const Event& event, std::string_view exchange) {
  amqp::Message message;
  message.exchange = exchange;
  message.routing_key = event.routing_key;
  message.body = event.body;
  message.message_id = event.message_id;
  message.content_type = "application/json";
  if (auto words = parse_routing_key(event.routing_key)) message.type = words->action;
  message.app_id = "muskrat";
  message.correlation_id = property_text(event.key);
  message.timestamp_s = static_cast<uint64_t>(event.captured_us / 1'000'000);
  message.headers.reserve(11);
  add_text(message, header_key, event.key);
  message.headers.push_back({header_epoch, event.epoch});
  message.headers.push_back({header_seq, event.seq});
  add_text(message, header_source, event.source);
  add_text(message, header_op, op_name(event.op));
  add_text(message, header_omitted, event.omitted);
  add_text(message, header_as, event.as);
  add_text(message, header_traceparent, event.traceparent);
  message.headers.push_back({header_timestamp_ms, event.captured_us / 1000});
  return message;
}

amqp::Message message_to(const Event& event, std::string_view queue) {
  amqp::Message message = message_of(event, "");
  message.routing_key = queue;
  add_text(message, header_routing_key, event.routing_key);
  return message;
}

bool event_of(amqp::Delivery&& delivery, Event& event, std::string& why) {
  event = Event{};
  event.routing_key = own_routing_key(delivery);
  event.message_id = std::move(delivery.message_id);
  event.key = delivery.headers.text(header_key);
  event.source = delivery.headers.text(header_source);
  event.op = op_from_name(delivery.headers.text(header_op)).value_or(Op::emit);
  event.epoch = delivery.headers.number(header_epoch);
  event.seq = delivery.headers.number(header_seq);
  event.captured_us = captured_us(delivery);
  event.omitted = delivery.headers.text(header_omitted);
  event.traceparent = delivery.headers.text(header_traceparent);
  event.as = delivery.headers.text(header_as);
  event.body = std::move(delivery.body);
  return parse_routing_key(event.routing_key, &why).has_value() && is_usable(event, why);
}

}  // namespace muskrat::wire

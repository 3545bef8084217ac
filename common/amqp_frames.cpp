// The loop that reads: frames become confirms, returns, deliveries and the broker's announcements.
#include <poll.h>

#include "common/amqp_impl.hpp"

namespace muskrat::amqp {

namespace {

// Per call of pump(): a stream without a pause must not starve the caller's other work.
constexpr int most_frames = 4096;

std::string optional_text(const amqp_basic_properties_t& properties, amqp_flags_t flag, amqp_bytes_t value) {
  return (properties._flags & flag) != 0 ? text_of(value) : "";
}

std::optional<Value> value_of(const amqp_field_value_t& field) {
  switch (field.kind) {
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
      return text_of(field.value.bytes);
    case AMQP_FIELD_KIND_BOOLEAN:
      return field.value.boolean != 0;
    case AMQP_FIELD_KIND_I8:
      return int64_t{field.value.i8};
    case AMQP_FIELD_KIND_U8:
      return int64_t{field.value.u8};
    case AMQP_FIELD_KIND_I16:
      return int64_t{field.value.i16};
    case AMQP_FIELD_KIND_U16:
      return int64_t{field.value.u16};
    case AMQP_FIELD_KIND_I32:
      return int64_t{field.value.i32};
    case AMQP_FIELD_KIND_U32:
      return int64_t{field.value.u32};
    case AMQP_FIELD_KIND_I64:
      return field.value.i64;
    case AMQP_FIELD_KIND_TIMESTAMP:
    case AMQP_FIELD_KIND_U64:
      return static_cast<int64_t>(field.value.u64);
    default:
      return std::nullopt;
  }
}

void read_properties(const amqp_basic_properties_t& p, Delivery& delivery) {
  delivery.message_id = optional_text(p, AMQP_BASIC_MESSAGE_ID_FLAG, p.message_id);
  delivery.content_type = optional_text(p, AMQP_BASIC_CONTENT_TYPE_FLAG, p.content_type);
  delivery.type = optional_text(p, AMQP_BASIC_TYPE_FLAG, p.type);
  delivery.app_id = optional_text(p, AMQP_BASIC_APP_ID_FLAG, p.app_id);
  delivery.correlation_id = optional_text(p, AMQP_BASIC_CORRELATION_ID_FLAG, p.correlation_id);
  if ((p._flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0) delivery.timestamp_s = p.timestamp;
  if ((p._flags & AMQP_BASIC_HEADERS_FLAG) == 0) return;
  delivery.headers.reserve(static_cast<size_t>(p.headers.num_entries));
  for (int i = 0; i < p.headers.num_entries; ++i) {
    const auto& entry = p.headers.entries[i];
    if (auto value = value_of(entry.value)) delivery.headers.add(view_of(entry.key), std::move(*value));
  }
}

}  // namespace

// ---- the loop ----

bool Connection::buffered() const { return impl_->buffered(); }

bool Connection::Impl::buffered() const { return amqp_frames_enqueued(raw()) != 0 || amqp_data_in_buffer(raw()) != 0; }

bool Connection::pump(Handler& handler, Deadline deadline, const Stop* stop, int other_fd) {
  auto& impl = *impl_;
  impl.expect_usable();
  bool sends = impl.send_some();
  for (;;) {
    if (sends) impl.send_heartbeat_when_due();
    bool here = impl.buffered();
    const bool waits_for_room = (impl.full && !impl.blocked) || impl.unsent();
    short wanted = waits_for_room && sends ? POLLIN | POLLOUT : POLLIN;
    pollfd entries[3] = {{impl.fd(), wanted, 0}, {stop == nullptr ? -1 : stop->fd(), POLLIN, 0}, {other_fd, POLLIN, 0}};
    ::poll(entries, 3, here ? 0 : deadline.sooner(impl.next_heartbeat()).poll_timeout());
    if ((entries[0].revents & POLLOUT) != 0) sends = impl.send_some();
    const bool room = (entries[0].revents & POLLOUT) != 0 && impl.full && !impl.unsent();
    bool readable = (entries[0].revents & ~POLLOUT) != 0;
    if (readable) impl.last_received = std::chrono::steady_clock::now();
    if (room) impl.full = false;
    int handled = 0;
    amqp_frame_t frame;
    if (here || readable)
      for (; handled < most_frames && impl.next_frame(frame); ++handled) impl.dispatch(frame, handler);
    if (handled > 0) return true;
    impl.check_heartbeat();
    if (room || entries[1].revents != 0 || entries[2].revents != 0 || deadline.passed()) return false;
  }
}

bool Connection::Impl::next_frame(amqp_frame_t& frame) {
  // Everything that a frame holds has been copied by the time the next one is asked for.
  amqp_maybe_release_buffers(raw());
  timeval none{0, 0};
  int status = amqp_simple_wait_frame_noblock(raw(), &frame, &none);
  if (status == AMQP_STATUS_TIMEOUT) return false;
  if (status != AMQP_STATUS_OK) lost("waiting for the broker", status);
  return true;
}

void Connection::Impl::dispatch(const amqp_frame_t& frame, Handler& handler) {
  switch (frame.frame_type) {
    case AMQP_FRAME_METHOD:
      if (frame.channel == 0) return on_connection_method(frame.payload.method, handler);
      return on_channel_method(frame.payload.method, handler);
    case AMQP_FRAME_HEADER:
      return on_header(frame, handler);
    case AMQP_FRAME_BODY:
      return on_body(frame, handler);
    default:
      return;
  }
}

// ---- methods ----

void Connection::Impl::on_connection_method(const amqp_method_t& method, Handler& handler) {
  if (method.id == AMQP_CONNECTION_CLOSE_METHOD) connection_closed(method);
  if (method.id == AMQP_CONNECTION_BLOCKED_METHOD) set_blocked(method, handler);
  if (method.id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
    blocked = false;
    blocked_reason.clear();
    handler.on_unblocked();
  }
}

void Connection::Impl::set_blocked(const amqp_method_t& method, Handler& handler) {
  blocked = true;
  blocked_reason = text_of(static_cast<amqp_connection_blocked_t*>(method.decoded)->reason);
  handler.on_blocked(blocked_reason);
}

void Connection::Impl::on_channel_method(const amqp_method_t& method, Handler& handler) {
  switch (method.id) {
    case AMQP_BASIC_ACK_METHOD: {
      auto& ack = *static_cast<amqp_basic_ack_t*>(method.decoded);
      return handler.on_confirm(ack.delivery_tag, ack.multiple != 0, true);
    }
    case AMQP_BASIC_NACK_METHOD: {
      auto& nack = *static_cast<amqp_basic_nack_t*>(method.decoded);
      return handler.on_confirm(nack.delivery_tag, nack.multiple != 0, false);
    }
    case AMQP_BASIC_DELIVER_METHOD: {
      auto& deliver = *static_cast<amqp_basic_deliver_t*>(method.decoded);
      assembly.emplace();
      assembly->delivery.tag = deliver.delivery_tag;
      assembly->delivery.redelivered = deliver.redelivered != 0;
      assembly->delivery.exchange = text_of(deliver.exchange);
      assembly->delivery.routing_key = text_of(deliver.routing_key);
      return;
    }
    case AMQP_BASIC_RETURN_METHOD: {
      auto& why = *static_cast<amqp_basic_return_t*>(method.decoded);
      assembly.emplace();
      assembly->returned = true;
      assembly->why = {why.reply_code, text_of(why.reply_text), text_of(why.exchange), text_of(why.routing_key), ""};
      return;
    }
    case AMQP_BASIC_CANCEL_METHOD:
      return consumer_cancelled(method, handler);
    case AMQP_CHANNEL_FLOW_METHOD:
      return answer_flow(method);
    case AMQP_CHANNEL_CLOSE_METHOD:
      channel_closed("waiting for the broker", method);
    default:
      return;
  }
}

void Connection::Impl::consumer_cancelled(const amqp_method_t& method, Handler& handler) {
  auto& cancel = *static_cast<amqp_basic_cancel_t*>(method.decoded);
  if (cancel.nowait == 0) {
    amqp_basic_cancel_ok_t ok{cancel.consumer_tag};
    guarded("answering a cancel", Deadline::in(std::chrono::seconds(2)),
            [&] { return amqp_send_method(raw(), channel_number, AMQP_BASIC_CANCEL_OK_METHOD, &ok); });
  }
  handler.on_consumer_cancelled();
}

void Connection::Impl::answer_flow(const amqp_method_t& method) {
  amqp_channel_flow_ok_t ok{static_cast<amqp_channel_flow_t*>(method.decoded)->active};
  guarded("answering a flow request", Deadline::in(std::chrono::seconds(2)),
          [&] { return amqp_send_method(raw(), channel_number, AMQP_CHANNEL_FLOW_OK_METHOD, &ok); });
}

// ---- messages: a method, a header, then body frames until all bytes are here ----

void Connection::Impl::on_header(const amqp_frame_t& frame, Handler& handler) {
  if (!assembly) return lost("the broker sent a message's header without its beginning");
  const auto& header = frame.payload.properties;
  read_properties(*static_cast<amqp_basic_properties_t*>(header.decoded), assembly->delivery);
  assembly->body_bytes = header.body_size;
  // A returned body is ours: nobody wants it back.
  if (!assembly->returned) assembly->delivery.body.reserve(std::min<uint64_t>(header.body_size, 1 << 20));
  if (header.body_size == 0) deliver(handler);
}

void Connection::Impl::on_body(const amqp_frame_t& frame, Handler& handler) {
  if (!assembly || !assembly->body_bytes) return lost("the broker sent a message's body without its header");
  auto part = view_of(frame.payload.body_fragment);
  if (part.size() > *assembly->body_bytes) return lost("the broker sent more of a message than it announced");
  *assembly->body_bytes -= part.size();
  if (!assembly->returned) assembly->delivery.body.append(part);
  if (*assembly->body_bytes == 0) deliver(handler);
}

void Connection::Impl::deliver(Handler& handler) {
  auto whole = std::move(*assembly);
  assembly.reset();
  if (!whole.returned) return handler.on_delivery(std::move(whole.delivery));
  whole.why.message_id = std::move(whole.delivery.message_id);
  handler.on_return(std::move(whole.why));
}

// ---- heartbeats ----

bool Connection::Impl::writable() const {
  pollfd entry{fd(), POLLOUT, 0};
  // An error counts too: writing brings it to light.
  return ::poll(&entry, 1, 0) > 0;
}

void Connection::Impl::send_heartbeat_when_due() {
  auto now = std::chrono::steady_clock::now();
  if (heartbeat.count() == 0 || now - last_sent < heartbeat / 2) return;
  // Not to be written: the broker reads nothing (an alarm), then it expects nothing either.
  if (unsent() || !writable()) {
    last_sent = now;
    return;
  }
  amqp_frame_t frame{};
  frame.frame_type = AMQP_FRAME_HEARTBEAT;
  guarded("sending a heartbeat", Deadline::in(heartbeat), [&] { return amqp_send_frame(raw(), &frame); });
}

void Connection::Impl::check_heartbeat() {
  if (heartbeat.count() == 0 || std::chrono::steady_clock::now() - last_received < 2 * heartbeat) return;
  lost("nothing was heard from it for " + std::to_string(2 * heartbeat.count() / 1000) + " s (two heartbeats)");
}

Deadline Connection::Impl::next_heartbeat() const {
  if (heartbeat.count() == 0) return Deadline::distant();
  return Deadline::at(std::min(last_sent + heartbeat / 2, last_received + 2 * heartbeat));
}

}  // namespace muskrat::amqp

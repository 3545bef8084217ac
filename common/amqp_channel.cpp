// The channel's requests and answers: topology, consuming, closing and opening.
#include "common/amqp_impl.hpp"

namespace muskrat::amqp {

// ---- tables ----

amqp_table_entry_t table_entry(std::string_view name, std::string_view value) {
  amqp_table_entry_t entry{};
  entry.key = bytes_of(name);
  entry.value.kind = AMQP_FIELD_KIND_UTF8;
  entry.value.value.bytes = bytes_of(value);
  return entry;
}

amqp_table_entry_t table_entry(std::string_view name, int64_t value) {
  amqp_table_entry_t entry{};
  entry.key = bytes_of(name);
  entry.value.kind = AMQP_FIELD_KIND_I64;
  entry.value.value.i64 = value;
  return entry;
}

amqp_table_entry_t table_entry(std::string_view name, bool value) {
  amqp_table_entry_t entry{};
  entry.key = bytes_of(name);
  entry.value.kind = AMQP_FIELD_KIND_BOOLEAN;
  entry.value.value.boolean = value;
  return entry;
}

EncodedTable::EncodedTable(const Table& table) {
  entries_.reserve(table.size());
  for (const auto& pair : table) {
    const auto& name = pair.first;
    std::visit([&](const auto& value) { entries_.push_back(table_entry(name, value)); }, pair.second);
  }
}

// ---- asking ----

void* Connection::Impl::ask(const char* doing, amqp_method_number_t request, void* arguments,
                            amqp_method_number_t answer, Deadline deadline) {
  expect_usable();
  send_all(doing, deadline);
  Watchdog::Guard guard(*watchdog, deadline);
  auto left = time_left(deadline);
  amqp_set_rpc_timeout(raw(), &left);
  amqp_method_number_t answers[] = {answer, 0};
  // Confirms, deliveries and the like that come first are queued by rabbitmq-c; the loop takes them from there.
  auto reply = amqp_simple_rpc(raw(), channel_number, request, answers, arguments);
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
    last_sent = last_received = std::chrono::steady_clock::now();
    return reply.reply.decoded;
  }
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
    channel_closed(doing, reply.reply);
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) connection_closed(reply.reply);
  lost(doing, guard.fired() ? AMQP_STATUS_TIMEOUT : reply.library_error);
}

void Connection::Impl::open_channel(Deadline deadline) {
  amqp_channel_open_t open{};
  ask("opening a channel", AMQP_CHANNEL_OPEN_METHOD, &open, AMQP_CHANNEL_OPEN_OK_METHOD, deadline);
  channel_open = true;
}

// What is queued of a closed channel must not be taken for the next one's, which has the same number.
void Connection::Impl::forget_channel() {
  channel_open = confirming = false;
  last_tag = 0;
  assembly.reset();
  Handler nobody;
  amqp_frame_t frame;
  while (amqp_frames_enqueued(raw()) != 0 && next_frame(frame))
    if (frame.channel == 0) dispatch(frame, nobody);
}

// ---- topology ----

void Connection::declare_exchange(const std::string& name, const std::string& type, const Table& arguments,
                                  Deadline deadline) {
  impl_->expect_channel();
  EncodedTable table(arguments);
  amqp_exchange_declare_t declare{};
  declare.exchange = bytes_of(name);
  declare.type = bytes_of(type);
  declare.durable = 1;
  declare.arguments = table.get();
  impl_->ask("declaring an exchange", AMQP_EXCHANGE_DECLARE_METHOD, &declare, AMQP_EXCHANGE_DECLARE_OK_METHOD,
             deadline);
}

bool Connection::exchange_exists(const std::string& name, Deadline deadline) {
  impl_->expect_channel();
  amqp_exchange_declare_t declare{};
  declare.exchange = bytes_of(name);
  declare.passive = 1;
  try {
    impl_->ask("looking for an exchange", AMQP_EXCHANGE_DECLARE_METHOD, &declare, AMQP_EXCHANGE_DECLARE_OK_METHOD,
               deadline);
    return true;
  } catch (const ChannelError& error) {
    if (error.code() != AMQP_NOT_FOUND) throw;
  }
  impl_->open_channel(deadline);
  return false;
}

Connection::QueueState Connection::declare_queue(const std::string& name, const Table& arguments, Deadline deadline) {
  impl_->expect_channel();
  EncodedTable table(arguments);
  amqp_queue_declare_t declare{};
  declare.queue = bytes_of(name);
  declare.durable = 1;
  declare.arguments = table.get();
  auto& ok = *static_cast<amqp_queue_declare_ok_t*>(
      impl_->ask("declaring a queue", AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD, deadline));
  return {ok.message_count, ok.consumer_count};
}

std::optional<Connection::QueueState> Connection::queue_state(const std::string& name, Deadline deadline) {
  impl_->expect_channel();
  amqp_queue_declare_t declare{};
  declare.queue = bytes_of(name);
  declare.passive = 1;
  try {
    auto& ok = *static_cast<amqp_queue_declare_ok_t*>(
        impl_->ask("looking for a queue", AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD, deadline));
    return QueueState{ok.message_count, ok.consumer_count};
  } catch (const ChannelError& error) {
    if (error.code() != AMQP_NOT_FOUND) throw;
  }
  impl_->open_channel(deadline);
  return std::nullopt;
}

uint32_t Connection::delete_queue(const std::string& name, Deadline deadline) {
  impl_->expect_channel();
  amqp_queue_delete_t remove{};
  remove.queue = bytes_of(name);
  return static_cast<amqp_queue_delete_ok_t*>(
             impl_->ask("deleting a queue", AMQP_QUEUE_DELETE_METHOD, &remove, AMQP_QUEUE_DELETE_OK_METHOD, deadline))
      ->message_count;
}

std::string Connection::declare_temporary_queue(Deadline deadline) {
  impl_->expect_channel();
  amqp_queue_declare_t declare{};
  declare.queue = bytes_of("");
  declare.exclusive = declare.auto_delete = 1;
  auto& ok = *static_cast<amqp_queue_declare_ok_t*>(
      impl_->ask("declaring a queue", AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD, deadline));
  return text_of(ok.queue);
}

void Connection::bind_queue(const std::string& queue, const std::string& exchange, const std::string& pattern,
                            Deadline deadline) {
  impl_->expect_channel();
  amqp_queue_bind_t bind{};
  bind.queue = bytes_of(queue);
  bind.exchange = bytes_of(exchange);
  bind.routing_key = bytes_of(pattern);
  impl_->ask("binding a queue", AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD, deadline);
}

void Connection::unbind_queue(const std::string& queue, const std::string& exchange, const std::string& pattern,
                              Deadline deadline) {
  impl_->expect_channel();
  amqp_queue_unbind_t unbind{};
  unbind.queue = bytes_of(queue);
  unbind.exchange = bytes_of(exchange);
  unbind.routing_key = bytes_of(pattern);
  impl_->ask("unbinding a queue", AMQP_QUEUE_UNBIND_METHOD, &unbind, AMQP_QUEUE_UNBIND_OK_METHOD, deadline);
}

// ---- consuming ----

void Connection::qos(uint16_t prefetch, Deadline deadline) {
  impl_->expect_channel();
  amqp_basic_qos_t qos{};
  qos.prefetch_count = prefetch;
  impl_->ask("setting the prefetch", AMQP_BASIC_QOS_METHOD, &qos, AMQP_BASIC_QOS_OK_METHOD, deadline);
}

void Connection::consume(const std::string& queue, Deadline deadline) {
  impl_->expect_channel();
  amqp_basic_consume_t consume{};
  consume.queue = bytes_of(queue);
  impl_->ask("starting to consume", AMQP_BASIC_CONSUME_METHOD, &consume, AMQP_BASIC_CONSUME_OK_METHOD, deadline);
}

void Connection::ack(uint64_t tag, bool multiple, Deadline deadline) {
  impl_->expect_channel();
  impl_->guarded("acknowledging", deadline,
                 [&] { return amqp_basic_ack(impl_->raw(), channel_number, tag, multiple); });
}

void Connection::close_channel(Deadline deadline) {
  if (!impl_->channel_open) return;
  amqp_channel_close_t close{};
  close.reply_code = AMQP_REPLY_SUCCESS;
  close.reply_text = bytes_of("bye");
  impl_->ask("closing a channel", AMQP_CHANNEL_CLOSE_METHOD, &close, AMQP_CHANNEL_CLOSE_OK_METHOD, deadline);
  impl_->forget_channel();
}

void Connection::open_channel(Deadline deadline) {
  if (!impl_->channel_open) impl_->open_channel(deadline);
}

}  // namespace muskrat::amqp

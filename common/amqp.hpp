// RabbitMQ: the thin wrapper around rabbitmq-c. Its headers are included in amqp_*.cpp alone.
//
// Used by the relay, the host, and the CLI's setup/status/tail. One Connection
// carries one channel at a time and belongs to one thread.
//
// What it takes care of, because rabbitmq-c 0.11 does not:
// - every call has a deadline. A publish, a close or an RPC can block without end
//   while the broker holds a memory alarm, so a watchdog shuts the socket down past
//   the deadline and the call fails with Failure{reconnect}. While the broker has
//   told us that it is blocked, publishing refuses with would_block instead.
// - it announces connection.blocked, consumer_cancel_notify and
//   authentication_failure_close, and shows *blocked* as a state.
// - heartbeats are serviced by pump(); a missed one ends the connection.
// - TLS: verified against the system's CAs or the given one, 1.2 at least.
// - no TCP_USER_TIMEOUT: it would kill a connection that an alarm merely blocks.
//
// What it does not do: recovery. A spoiled connection is thrown away whole.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/clock.hpp"
#include "common/failure.hpp"
#include "common/stop.hpp"

namespace muskrat::amqp {

struct Address {
  std::string host = "127.0.0.1";
  int port = 5672;
  std::string vhost = "/";
  std::string user = "guest";
  std::string password = "guest";
  std::chrono::seconds heartbeat{10};
  bool tls = false;
  bool tls_verify = true;
  std::string tls_ca, tls_cert, tls_key;  // files; empty CA = the system's

  // "host:port vhost /x", for messages; never a secret.
  std::string place() const;
};

// amqp://user:password@host:port/vhost or amqps://…; percent-escapes resolved. Failure{stop} that names the fault.
Address parse_url(std::string_view url);

using Value = std::variant<std::string, int64_t, bool>;

// Headers or arguments by name, in the order in which they came. There are a dozen at most, and every event brings
// them: a list that is searched costs one allocation where a tree costs one for each.
class Table {
 public:
  using Entry = std::pair<std::string, Value>;
  using const_iterator = std::vector<Entry>::const_iterator;
  Table() = default;
  Table(std::initializer_list<Entry> entries) {
    for (const Entry& entry : entries) (*this)[entry.first] = entry.second;
  }

  void reserve(size_t count) { entries_.reserve(count); }
  // Without looking for one of that name, of which the first counts: a message may bring thousands.
  void add(std::string_view name, Value value) { entries_.emplace_back(std::string(name), std::move(value)); }
  // Added at the end where there was none of that name.
  Value& operator[](std::string_view name) {
    if (const auto found = find(name); found != end())
      return entries_[static_cast<size_t>(found - entries_.begin())].second;
    return entries_.emplace_back(std::string(name), Value{}).second;
  }
  const_iterator find(std::string_view name) const {
    return std::find_if(entries_.begin(), entries_.end(), [name](const Entry& entry) { return entry.first == name; });
  }
  const Value& at(std::string_view name) const {
    const auto found = find(name);
    if (found == end()) throw std::out_of_range("no entry " + std::string(name));
    return found->second;
  }
  // A text or a number of that name; "" or 0 where there is none, or it is of another kind.
  std::string text(std::string_view name) const { return value_or_none<std::string>(name); }
  int64_t number(std::string_view name) const { return value_or_none<int64_t>(name); }
  bool contains(std::string_view name) const { return find(name) != end(); }
  size_t count(std::string_view name) const { return contains(name) ? 1 : 0; }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  const_iterator begin() const { return entries_.begin(); }
  const_iterator end() const { return entries_.end(); }

 private:
  template <typename T>
  T value_or_none(std::string_view name) const {
    const auto found = find(name);
    const T* value = found == end() ? nullptr : std::get_if<T>(&found->second);
    return value == nullptr ? T{} : *value;
  }

  std::vector<Entry> entries_;
};

struct Message {
  std::string_view exchange, routing_key;
  std::string_view body;
  std::string_view message_id, content_type, type, app_id, correlation_id;
  uint64_t timestamp_s = 0;  // 0 = absent
  bool persistent = true;
  bool mandatory = true;
  // Headers as pairs that view the caller's memory, in the order given.
  struct Header {
    std::string_view name;
    std::variant<std::string_view, int64_t> value;
  };
  std::vector<Header> headers;
};

// Which of its short texts AMQP cannot carry, and why; "" where it can carry all.
std::string too_long(const Message& message);

// How large the frame with the message's properties and headers is.
size_t properties_frame_bytes(const Message& message);

struct Delivery {
  uint64_t tag = 0;
  bool redelivered = false;
  std::string exchange, routing_key, body;
  std::string message_id, content_type, type, app_id, correlation_id;
  uint64_t timestamp_s = 0;
  Table headers;  // strings, integers and booleans; other types are left out
};

struct Returned {
  int code = 0;  // 312 NO_ROUTE
  std::string text, exchange, routing_key, message_id;
};

// What the broker may say at any time; pump() calls these on the calling thread.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void on_confirm(uint64_t /*tag*/, bool /*multiple*/, bool /*acked*/) {}
  virtual void on_return(Returned&&) {}  // arrives before its own confirm
  virtual void on_delivery(Delivery&&) {}
  virtual void on_blocked(const std::string& /*reason*/) {}
  virtual void on_unblocked() {}
  virtual void on_consumer_cancelled() {}  // the queue was deleted
};

// A queue or exchange exists with other arguments (406), does not exist (404), or is not ours to touch (403):
// the channel is closed by the broker, the connection lives. Call open_channel() before going on.
class ChannelError : public Failure {
 public:
  ChannelError(int code, const std::string& what) : Failure(Remedy::reconnect, what), code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

enum class Sent { sent, would_block };

class Connection {
 public:
  // Connects, logs in and opens a channel. `name` is shown by the broker's tools. A refused login is
  // Failure{reconnect} (secrets rotate) whose text names user and vhost and says what to check.
  static Connection open(const Address& address, const std::string& name, Deadline deadline,
                         const Stop* stop = nullptr);
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();  // closes the socket at once; call close() before for a clean goodbye

  // ---- topology (each waits for the broker's answer) ----
  void declare_exchange(const std::string& name, const std::string& type, const Table& arguments, Deadline deadline);
  bool exchange_exists(const std::string& name, Deadline deadline);  // re-opens the channel when it does not
  struct QueueState {
    uint32_t messages, consumers;
  };
  QueueState declare_queue(const std::string& name, const Table& arguments, Deadline deadline);
  std::optional<QueueState> queue_state(const std::string& name,
                                        Deadline deadline);  // passive; nullopt = no such queue
  // With all that is in it, which is how many messages it returns; 0 when it is not there.
  uint32_t delete_queue(const std::string& name, Deadline deadline);
  // A temporary queue of this connection (exclusive, auto-delete); returns its name.
  std::string declare_temporary_queue(Deadline deadline);
  void bind_queue(const std::string& queue, const std::string& exchange, const std::string& pattern, Deadline deadline);
  void unbind_queue(const std::string& queue, const std::string& exchange, const std::string& pattern,
                    Deadline deadline);

  // ---- publishing ----
  void confirm_select(Deadline deadline);
  // Tags count from 1 on each channel. would_block: the broker said it is blocked (then blocked() is true), or its
  // socket takes nothing more right now; nothing was written: pump(), then try again. sent: it goes out together with
  // others, with the next pump() or request at the latest.
  Sent publish(const Message& message, Deadline deadline);
  uint64_t last_tag() const;
  // What was published and is not on the broker's machine yet, about.
  int64_t unsent_bytes() const;
  // How large a frame may be, as agreed with the broker; a message's properties and headers stand in one
  // (properties_frame_bytes), its body in as many as it takes.
  size_t frame_most() const;

  // ---- consuming ----
  void qos(uint16_t prefetch, Deadline deadline);
  void consume(const std::string& queue, Deadline deadline);  // manual ack
  void ack(uint64_t tag, bool multiple, Deadline deadline);
  // Gives every unacked message back, in order, at the front of its queue (never basic.cancel, never nack-requeue).
  void close_channel(Deadline deadline);
  void open_channel(Deadline deadline);

  // ---- the loop ----
  // Handles every frame that is here, waiting for the first one no longer than the deadline (or until `stop`, or until
  // `other_fd` is readable, or there is room again after a would_block). Services heartbeats. Returns true when it
  // handled something.
  bool pump(Handler& handler, Deadline deadline, const Stop* stop = nullptr, int other_fd = -1);
  int socket() const;
  // Frames are already in the buffer: poll() on socket() would sleep on them.
  bool buffered() const;
  bool blocked() const;
  const std::string& blocked_reason() const;
  // "RabbitMQ 3.10.8"
  const std::string& server() const;

  void close(Deadline deadline);  // clean goodbye; never throws

 private:
  struct Impl;
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muskrat::amqp

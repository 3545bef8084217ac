// What the amqp_*.cpp files share: rabbitmq-c's connection, the guard around
// each call that may block, and the assembly of messages from frames.
//
// amqp_url.cpp parses addresses, amqp_connection.cpp opens and closes,
// amqp_tls.cpp sets up TLS, amqp_channel.cpp asks and awaits answers,
// amqp_publish.cpp and amqp_send_buffer.cpp write messages, amqp_frames.cpp is the loop that reads,
// amqp_watchdog.cpp the thread that ends calls which rabbitmq-c would let hang.
// Nobody else includes this, nor rabbitmq-c's headers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

#include "common/amqp.hpp"
#include "common/amqp_send_buffer.hpp"
#include "common/amqp_watchdog.hpp"

namespace muskrat::amqp {

struct StateCloser {
  void operator()(amqp_connection_state_t state) const { amqp_destroy_connection(state); }
};
using State = std::unique_ptr<amqp_connection_state_t_, StateCloser>;

inline amqp_bytes_t bytes_of(std::string_view text) {
  // rabbitmq-c only reads what it is given here, but asks for it without const
  return {text.size(), const_cast<char*>(text.data())};
}
inline std::string_view view_of(amqp_bytes_t bytes) { return {static_cast<const char*>(bytes.bytes), bytes.len}; }
inline std::string text_of(amqp_bytes_t bytes) { return std::string(view_of(bytes)); }

inline timeval time_left(Deadline deadline) {
  long ms = deadline.poll_timeout();
  return {ms / 1000, ms % 1000 * 1000};
}

// A table that rabbitmq-c can send; it views the Table, which must outlive it.
class EncodedTable {
 public:
  explicit EncodedTable(const Table& table);
  amqp_table_t get() { return {static_cast<int>(entries_.size()), entries_.data()}; }

 private:
  std::vector<amqp_table_entry_t> entries_;
};

amqp_table_entry_t table_entry(std::string_view name, std::string_view value);
amqp_table_entry_t table_entry(std::string_view name, int64_t value);
amqp_table_entry_t table_entry(std::string_view name, bool value);
// Without this one a literal would become a bool.
inline amqp_table_entry_t table_entry(std::string_view name, const char* value) {
  return table_entry(name, std::string_view(value));
}

// TLS on `state`, verified as the address asks; the socket is not open yet.
amqp_socket_t* new_tls_socket(amqp_connection_state_t state, const Address& address);

// The one channel: it is closed for good messages and bad ones alike, and opened again under the same number.
inline constexpr amqp_channel_t channel_number = 1;
inline constexpr int frame_max_bytes = 131072;

// A message on its way in: a method, a header, then body frames.
struct Assembly {
  bool returned = false;
  Returned why;
  Delivery delivery;
  std::optional<uint64_t> body_bytes;  // still to come; known once the header is here
};

struct Connection::Impl {
  explicit Impl(const Address& address) : place(address.place()), tls(address.tls), state(amqp_new_connection()) {}
  ~Impl();

  std::string place;
  bool tls;
  State state;
  std::unique_ptr<Watchdog> watchdog;
  std::string server = "unknown broker";
  bool spoiled = false;
  bool channel_open = false;

  // blocked by the broker's alarm
  bool blocked = false;
  std::string blocked_reason;

  // Heartbeats are ours, not rabbitmq-c's: it would block on sending one to a broker that has stopped reading.
  std::chrono::milliseconds heartbeat{0};
  SteadyTime last_sent, last_received;

  // publishing
  bool confirming = false;
  uint64_t last_tag = 0;
  SendBuffer outgoing{frame_max_bytes};  // published and not yet in the socket; stays empty with TLS
  size_t unpolled_bytes = 0;             // with TLS: published since the socket was last seen writable
  std::string tls_body;                  // of a message of which only the beginning is sent
  size_t tls_body_sent = 0;
  bool full = false;  // a publish was refused because the socket took nothing more: pump() returns when it does again
  std::vector<amqp_table_entry_t> header_entries;

  std::optional<Assembly> assembly;

  // ---- guarding (amqp_connection.cpp) ----
  amqp_connection_state_t raw() const { return state.get(); }
  int fd() const { return amqp_get_sockfd(raw()); }
  void expect_usable() const;
  void expect_channel() const;
  [[noreturn]] void lost(const std::string& what);
  [[noreturn]] void lost(const char* doing, int status);
  [[noreturn]] void connection_closed(const amqp_method_t& method);
  [[noreturn]] void channel_closed(const char* doing, const amqp_method_t& method);
  // Runs `call` under the watchdog, after what was to be sent before it; a negative status loses the connection.
  template <typename Call>
  void guarded(const char* doing, Deadline deadline, Call call) {
    send_all(doing, deadline);
    Watchdog::Guard guard(*watchdog, deadline);
    int status = call();
    if (status < 0 || guard.fired()) lost(doing, guard.fired() ? AMQP_STATUS_TIMEOUT : status);
    last_sent = std::chrono::steady_clock::now();
  }
  void connect(const Address& address, Deadline deadline, const Stop* stop);
  void login(const Address& address, const std::string& name, Deadline deadline, const Stop* stop);
  void read_server_properties();

  // ---- asking (amqp_channel.cpp) ----
  // Sends `request`, waits for the method `answer` and returns it decoded (valid until the next call).
  void* ask(const char* doing, amqp_method_number_t request, void* arguments, amqp_method_number_t answer,
            Deadline deadline);
  void open_channel(Deadline deadline);
  void forget_channel();

  // ---- publishing (amqp_publish.cpp) ----
  Sent publish_with_tls(const Message& message, amqp_basic_properties_t& properties, Deadline deadline);
  int begin_with_tls(const Message& message, amqp_basic_properties_t& properties);
  // What the socket takes now of what is to be sent. False: it has failed; who reads learns more.
  bool send_some();
  bool send_some_of_body();
  bool unsent() const { return !outgoing.empty() || !tls_body.empty(); }
  // Until all is sent, or the connection is lost.
  void send_all(const char* doing, Deadline deadline);

  // ---- reading (amqp_frames.cpp) ----
  bool buffered() const;
  // A frame that is here, without waiting.
  bool next_frame(amqp_frame_t& frame);
  void dispatch(const amqp_frame_t& frame, Handler& handler);
  void on_connection_method(const amqp_method_t& method, Handler& handler);
  void on_channel_method(const amqp_method_t& method, Handler& handler);
  void on_header(const amqp_frame_t& frame, Handler& handler);
  void on_body(const amqp_frame_t& frame, Handler& handler);
  void deliver(Handler& handler);
  void set_blocked(const amqp_method_t& method, Handler& handler);
  void answer_flow(const amqp_method_t& method);
  void consumer_cancelled(const amqp_method_t& method, Handler& handler);
  void send_heartbeat_when_due();
  void check_heartbeat();
  Deadline next_heartbeat() const;
  bool writable() const;
};

}  // namespace muskrat::amqp

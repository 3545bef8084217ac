// Opening and ending a connection to the broker, and how its failures are told.
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/amqp_impl.hpp"
#include "common/lookup.hpp"

namespace muskrat::amqp {

namespace {

// ---- the TCP connection: ours rather than rabbitmq-c's, to obey `stop` and to say what failed ----

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

std::vector<std::string> addresses_of(const Address& address, Deadline deadline, const Stop* stop) {
  Lookup found = look_up(address.host, deadline, stop);
  if (found.addresses.empty()) {
    throw Failure(Remedy::reconnect, "cannot find the address of the broker's host " + address.host + ": " + found.why +
                                         "; check broker.url and the name server");
  }
  return std::move(found.addresses);
}

// A numeric one, which needs no name server.
Addresses socket_address(const std::string& numeric, int port) {
  addrinfo hint{};
  hint.ai_socktype = SOCK_STREAM;
  hint.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* one = nullptr;
  const int error = getaddrinfo(numeric.c_str(), std::to_string(port).c_str(), &hint, &one);
  if (error != 0)
    throw Failure(Remedy::reconnect, "cannot connect to the broker at " + numeric + ": " + gai_strerror(error));
  return {one, freeaddrinfo};
}

// 0, or an errno.
int finish_connect(int fd, Deadline deadline, const Stop* stop) {
  pollfd entries[2] = {{fd, POLLOUT, 0}, {stop == nullptr ? -1 : stop->fd(), POLLIN, 0}};
  while (entries[0].revents == 0) {
    if (::poll(entries, 2, deadline.poll_timeout()) > 0 && entries[1].revents != 0) return ECANCELED;
    if (entries[0].revents == 0 && deadline.passed()) return ETIMEDOUT;
  }
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

int connect_one(const addrinfo& target, Deadline deadline, const Stop* stop, int& error) {
  Socket socket(::socket(target.ai_family, target.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, target.ai_protocol));
  int one = 1;
  error = socket.get() < 0 ? errno : 0;
  if (error != 0) return -1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  if (::connect(socket.get(), target.ai_addr, target.ai_addrlen) != 0)
    error = errno == EINPROGRESS ? finish_connect(socket.get(), deadline, stop) : errno;
  return error == 0 ? socket.release() : -1;
}

int connect_tcp(const Address& address, Deadline deadline, const Stop* stop) {
  const auto found = addresses_of(address, deadline, stop);
  int error = ETIMEDOUT;
  for (const std::string& numeric : found) {
    // A black hole must not eat the time of the addresses behind it.
    auto share = &numeric == &found.back() ? deadline : Deadline::in(milliseconds(deadline.poll_timeout() / 2));
    int fd = connect_one(*socket_address(numeric, address.port), share, stop, error);
    if (fd >= 0) return fd;
    if (error == ECANCELED) break;
  }
  throw Failure(Remedy::reconnect, "cannot connect to the broker at " + address.host + ":" +
                                       std::to_string(address.port) + ": " +
                                       (error == ECANCELED ? "asked to stop" : strerror(error)) +
                                       "; check that it runs and that broker.url is right");
}

// ---- what we tell the broker about us ----

struct ClientProperties {
  explicit ClientProperties(const std::string& name)
      : capabilities{table_entry("connection.blocked", true), table_entry("consumer_cancel_notify", true),
                     table_entry("authentication_failure_close", true), table_entry("publisher_confirms", true),
                     table_entry("basic.nack", true)},
        entries{table_entry("product", "muskrat"), table_entry("version", MUSKRAT_VERSION),
                table_entry("connection_name", name), table_entry("capabilities", "")} {
    entries[3].value.kind = AMQP_FIELD_KIND_TABLE;
    entries[3].value.value.table = {static_cast<int>(std::size(capabilities)), capabilities};
  }
  amqp_table_t get() { return {static_cast<int>(std::size(entries)), entries}; }

  amqp_table_entry_t capabilities[5];
  amqp_table_entry_t entries[4];
};

std::string library_error(int status) {
  switch (status) {
    case AMQP_STATUS_TIMEOUT:
      return "no answer in time";
    case AMQP_STATUS_CONNECTION_CLOSED:
    case AMQP_STATUS_SOCKET_CLOSED:
      return "the broker closed the connection";
    case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
    case AMQP_STATUS_SSL_CONNECTION_FAILED:
      return std::string(amqp_error_string2(status)) +
             " (is the CA in broker.tls.ca the one that signed the broker's certificate?)";
    default:
      return amqp_error_string2(status);
  }
}

}  // namespace

// ---- failures ----

void Connection::Impl::expect_usable() const {
  if (spoiled)
    throw Failure(Remedy::reconnect, "the connection to the broker at " + place + " has failed before; connect anew");
}

void Connection::Impl::expect_channel() const {
  expect_usable();
  if (!channel_open)
    throw Failure(Remedy::reconnect,
                  "the channel to the broker at " + place + " is closed; open_channel() comes first");
}

void Connection::Impl::lost(const std::string& what) {
  spoiled = true;
  throw Failure(Remedy::reconnect, "lost the connection to the broker at " + place + ": " + what);
}

void Connection::Impl::lost(const char* doing, int status) { lost(library_error(status) + " (while " + doing + ")"); }

void Connection::Impl::connection_closed(const amqp_method_t& method) {
  auto& close = *static_cast<amqp_connection_close_t*>(method.decoded);
  auto text = std::to_string(close.reply_code) + " " + text_of(close.reply_text);
  amqp_connection_close_ok_t ok{};
  Watchdog::Guard guard(*watchdog, Deadline::in(milliseconds(500)));
  // Half a message may be on its way; behind it no goodbye would be understood.
  if (!unsent()) amqp_send_method(raw(), 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
  lost("it was closed by the broker: " + text);
}

void Connection::Impl::channel_closed(const char* doing, const amqp_method_t& method) {
  auto& close = *static_cast<amqp_channel_close_t*>(method.decoded);
  int code = close.reply_code;
  auto text = text_of(close.reply_text);
  send_some();
  if (unsent()) {
    spoiled = true;  // behind half a message, which may be a large one, no answer would be understood
  } else {
    guarded("closing a channel", Deadline::in(std::chrono::seconds(2)), [&] {
      amqp_channel_close_ok_t ok{};
      return amqp_send_method(raw(), channel_number, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    });
  }
  forget_channel();
  throw ChannelError(
      code, "the broker closed the channel while " + std::string(doing) + ": " + std::to_string(code) + " " + text);
}

// ---- opening ----

void Connection::Impl::connect(const Address& address, Deadline deadline, const Stop* stop) {
  if (!address.tls) {
    int fd = connect_tcp(address, deadline, stop);
    amqp_tcp_socket_set_sockfd(amqp_tcp_socket_new(raw()), fd);
    return;
  }
  addresses_of(address, deadline, stop);  // rabbitmq-c looks it up itself, for as long as that takes
  auto left = time_left(deadline);
  int status = amqp_socket_open_noblock(new_tls_socket(raw(), address), address.host.c_str(), address.port, &left);
  if (status == AMQP_STATUS_OK) return;
  throw Failure(Remedy::reconnect, "cannot connect to the broker at " + address.host + ":" +
                                       std::to_string(address.port) + " with TLS: " + library_error(status) +
                                       "; check that it runs, and broker.url and broker.tls");
}

void Connection::Impl::login(const Address& address, const std::string& name, Deadline deadline, const Stop* stop) {
  ClientProperties properties(name);
  auto table = properties.get();
  auto left = time_left(deadline);
  amqp_set_handshake_timeout(raw(), &left);
  Watchdog::Guard guard(*watchdog, deadline, stop);
  auto reply = amqp_login_with_properties(raw(), address.vhost.c_str(), 8, frame_max_bytes,
                                          static_cast<int>(address.heartbeat.count()), &table, AMQP_SASL_METHOD_PLAIN,
                                          address.user.c_str(), address.password.c_str());
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
  std::string why = "the broker hung up";
  if (guard.fired()) {
    why = stop != nullptr && stop->requested() ? "asked to stop" : "no answer in time";
  } else if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
    why = library_error(reply.library_error);
  } else if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
    auto& close = *static_cast<amqp_connection_close_t*>(reply.reply.decoded);
    why = std::to_string(close.reply_code) + " " + text_of(close.reply_text);
  }
  throw Failure(Remedy::reconnect, "cannot log in to the broker at " + address.host + ":" +
                                       std::to_string(address.port) + " as user " + address.user + " on vhost " +
                                       address.vhost + ": " + why +
                                       "; check user, password and vhost in broker.url, and that the user may use the "
                                       "vhost (rabbitmqctl list_permissions -p VHOST)");
}

void Connection::Impl::read_server_properties() {
  std::string product, version;
  auto* table = amqp_get_server_properties(raw());
  for (int i = 0; i < table->num_entries; ++i) {
    const auto& entry = table->entries[i];
    if (entry.value.kind != AMQP_FIELD_KIND_UTF8) continue;
    if (view_of(entry.key) == "product") product = text_of(entry.value.value.bytes);
    if (view_of(entry.key) == "version") version = text_of(entry.value.value.bytes);
  }
  if (!product.empty()) server = product + " " + version;
}

Connection Connection::open(const Address& address, const std::string& name, Deadline deadline, const Stop* stop) {
  auto impl = std::make_unique<Impl>(address);
  if (!impl->state) throw Failure(Remedy::stop, "out of memory while connecting to the broker");
  impl->connect(address, deadline, stop);
  impl->watchdog = std::make_unique<Watchdog>(impl->fd());
  impl->login(address, name, deadline, stop);
  impl->read_server_properties();
  // A broker may have asked for smaller frames than ours; 0: it sets no limit.
  if (const int agreed = amqp_get_frame_max(impl->raw()); agreed > 0)
    impl->outgoing.limit_frames(static_cast<size_t>(agreed));
  impl->heartbeat = std::chrono::seconds(amqp_get_heartbeat(impl->raw()));
  // From here on rabbitmq-c must neither send heartbeats nor count them (see Impl).
  amqp_tune_connection(impl->raw(), amqp_get_channel_max(impl->raw()), amqp_get_frame_max(impl->raw()), 0);
  impl->last_sent = impl->last_received = std::chrono::steady_clock::now();
  impl->open_channel(deadline);
  return Connection(std::move(impl));
}

// ---- ending ----

// The watchdog's end shuts the socket down first: SSL_shutdown and the like have no one to wait for then.
Connection::Impl::~Impl() { watchdog.reset(); }

void Connection::close(Deadline deadline) {
  auto& impl = *impl_;
  if (impl.spoiled || impl.blocked) return;  // a blocked broker reads no goodbye
  try {
    impl.send_all("closing", deadline);
  } catch (const Failure&) {
    return;
  }
  impl.spoiled = true;
  Watchdog::Guard guard(*impl.watchdog, deadline);
  auto left = time_left(deadline);
  amqp_set_rpc_timeout(impl.raw(), &left);
  amqp_connection_close(impl.raw(), AMQP_REPLY_SUCCESS);
}

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

int Connection::socket() const { return impl_->fd(); }
bool Connection::blocked() const { return impl_->blocked; }
const std::string& Connection::blocked_reason() const { return impl_->blocked_reason; }
const std::string& Connection::server() const { return impl_->server; }

}  // namespace muskrat::amqp

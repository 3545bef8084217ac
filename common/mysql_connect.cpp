// Opening a MySQL or MariaDB connection: options, TLS, the non-blocking handshake, the session's settings.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/lookup.hpp"
#include "common/mysql_impl.hpp"

namespace muskrat::mysql {
namespace {

// The stack on which libmariadb runs between two waits; its own 64 KiB are tight for a TLS handshake.
constexpr size_t stack_bytes = 256 << 10;
const char* const system_ca = "/etc/ssl/certs/ca-certificates.crt";

// wait_timeout: a client that vanished behind a half-open connection holds its locks no longer than that.
const char* const session_settings =
    "SET NAMES utf8mb4 COLLATE utf8mb4_bin; "
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,"
    "NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', autocommit = 1, wait_timeout = 600, "
    "innodb_lock_wait_timeout = 5, group_concat_max_len = 16777216; "
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT @@max_allowed_packet";

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

void set_tls(MYSQL* handle, const Location& to) {
  my_bool on = to.tls != Location::Tls::disabled ? 1 : 0, verify = to.tls == Location::Tls::verify ? 1 : 0;
  mysql_options(handle, MYSQL_OPT_SSL_ENFORCE, &on);
  mysql_options(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
  if (on == 0) return;
  mysql_options(handle, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
  std::string ca = to.ca;
  if (ca.empty() && verify != 0 && ::access(system_ca, R_OK) == 0) ca = system_ca;
  if (!ca.empty()) mysql_options(handle, MYSQL_OPT_SSL_CA, ca.c_str());
  if (!to.certificate.empty()) mysql_options(handle, MYSQL_OPT_SSL_CERT, to.certificate.c_str());
  if (!to.key.empty()) mysql_options(handle, MYSQL_OPT_SSL_KEY, to.key.c_str());
}

void set_options(MYSQL* handle, const Location& to, const std::string& application_name) {
  mysql_options(handle, MYSQL_OPT_NONBLOCK, &stack_bytes);
  mysql_options(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  my_bool off = 0;
  mysql_options(handle, MYSQL_OPT_RECONNECT, &off);
  unsigned int no_infile = 0;  // a server must not read our files
  mysql_options(handle, MYSQL_OPT_LOCAL_INFILE, &no_infile);
  mysql_options4(handle, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", application_name.c_str());
  set_tls(handle, to);
}

// A peer that vanished is noticed in about half a minute, idle or not.
void keep_alive(int fd) {
  int on = 1, idle = 15, interval = 5, count = 3, unanswered_ms = 30'000;
  if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
}

// libmariadb looks the name up by itself, for as long as the resolver likes.
void expect_an_address(const Location& to, Deadline deadline, const Stop* stop) {
  if (!to.socket.empty()) return;
  const Lookup found = look_up(to.host, deadline, stop);
  if (found.in_time) return;
  throw Failure(Remedy::reconnect, "cannot connect to " + to.place() + ": cannot find the address of its host: " +
                                       found.why + "; check the host in the configuration and the name server");
}

}  // namespace

int Connection::Impl::wait(int events, Deadline deadline, const Stop* stop, const char* doing) {
  short wanted = 0;
  if ((events & MYSQL_WAIT_READ) != 0) wanted |= POLLIN;
  if ((events & MYSQL_WAIT_WRITE) != 0) wanted |= POLLOUT;
  if ((events & MYSQL_WAIT_EXCEPT) != 0) wanted |= POLLPRI;
  if (stop == nullptr) stop = attended;
  // What beat() throws leaves libmariadb in the middle of something.
  const auto pulse = [this] {
    if (!beat) return;
    spoiled = true;
    beat();
    spoiled = false;
  };
  for (;; pulse()) {
    const Deadline wake = beat ? deadline.sooner(Deadline::in(milliseconds(1000))) : deadline;
    pollfd entries[2] = {{mysql_get_socket(handle), wanted, 0}, {stop == nullptr ? -1 : stop->fd(), POLLIN, 0}};
    int ready = ::poll(entries, 2, wake.poll_timeout());
    if (entries[1].revents != 0) {
      spoiled = true;
      throw Failure(Remedy::reconnect, "gave up " + std::string(doing) + " " + place + ": asked to stop");
    }
    if (ready > 0) {
      short got = entries[0].revents;
      // libmariadb finds out itself what an error is
      if ((got & (POLLERR | POLLHUP | POLLNVAL)) != 0) return events & ~MYSQL_WAIT_TIMEOUT;
      return ((got & POLLIN) != 0 ? MYSQL_WAIT_READ : 0) | ((got & POLLOUT) != 0 ? MYSQL_WAIT_WRITE : 0) |
             ((got & POLLPRI) != 0 ? MYSQL_WAIT_EXCEPT : 0);
    }
    if (deadline.passed()) {
      spoiled = true;
      throw Failure(Remedy::reconnect, "no answer in time from " + place + " while " + doing +
                                           "; the server is overloaded, waits for a lock, or is out of reach");
    }
  }
}

Connection Connection::open(const Address& address, Deadline deadline, const Stop* stop) {
  Location to = parse_dsn(address.dsn);
  if (!address.password.empty()) to.password = address.password;
  expect_an_address(to, deadline, stop);
  auto impl = std::make_unique<Impl>();
  impl->place = to.place();
  impl->secret = to.password;
  impl->handle = mysql_init(nullptr);
  if (impl->handle == nullptr) throw Failure(Remedy::stop, "out of memory while connecting to MySQL");
  set_options(impl->handle, to, address.application_name);
  // The protocol follows from what is given: "localhost" would mean a socket that is compiled into the library.
  unsigned int protocol = to.socket.empty() ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
  mysql_options(impl->handle, MYSQL_OPT_PROTOCOL, &protocol);
  MYSQL* connected = nullptr;
  auto* handle = impl->handle;
  impl->drive(
      [&] {
        return mysql_real_connect_start(
            &connected, handle, to.host.c_str(), to.user.c_str(), to.password.c_str(), or_null(to.database),
            static_cast<unsigned>(to.port), or_null(to.socket),
            CLIENT_MULTI_STATEMENTS | CLIENT_MULTI_RESULTS | CLIENT_FOUND_ROWS | CLIENT_REMEMBER_OPTIONS);
      },
      [&](int ready) { return mysql_real_connect_cont(&connected, handle, ready); }, deadline, stop, "connecting to");
  if (connected == nullptr) {
    impl->spoiled = true;
    throw Failure(Remedy::reconnect, "cannot connect to " + impl->place + ": " +
                                         tidy(mysql_error(handle), impl->secret) + " [" +
                                         std::to_string(mysql_errno(handle)) +
                                         "]; check that the server runs, and the host, port, user, password, "
                                         "database and ssl-mode in the configuration");
  }
  if (to.socket.empty()) keep_alive(static_cast<int>(mysql_get_socket(handle)));
  Connection connection(std::move(impl));
  connection.impl_->max_packet = connection.exec(session_settings, deadline).int64(0, 0);
  return connection;
}

}  // namespace muskrat::mysql

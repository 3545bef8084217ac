// MySQL addresses: mysql:// and mariadb:// URLs.
#include <algorithm>
#include <charconv>

#include "common/mysql.hpp"

namespace muskrat::mysql {
namespace {

// One that was right at load was rotated by hand; the next look may find it mended.
[[noreturn]] void bad(const std::string& why) {
  throw Failure(Remedy::reconnect,
                "the MySQL DSN " + why +
                    " (it is not shown here, for it may hold a password); write "
                    "mysql://user@host:port/database or mysql://user@localhost/database?socket=/path, "
                    "with %40 for an @ and %2F for a / inside a part");
}

std::string unescape(std::string_view text, const char* part) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    auto pair = text.substr(i + 1, 2);
    int value = 0;
    auto [end, error] = std::from_chars(pair.data(), pair.data() + pair.size(), value, 16);
    if (pair.size() != 2 || error != std::errc() || end != pair.data() + 2 || value == 0)
      bad(std::string("has a broken %-escape in its ") + part);
    plain += static_cast<char>(value);
    i += 2;
  }
  return plain;
}

// Cuts off what stands before `separator` (or all of it).
std::string_view take(std::string_view& text, char separator) {
  auto at = text.find(separator);
  auto head = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return head;
}

void read_login(std::string_view login, Location& to) {
  to.user = unescape(take(login, ':'), "user");
  to.password = unescape(login, "password");
}

void read_host(std::string_view host, Location& to) {
  std::string_view port;
  if (host.starts_with('[')) {
    auto end = host.find(']');
    if (end == std::string_view::npos) bad("has a [ without its ]");
    to.host = host.substr(1, end - 1);
    port = host.substr(end + 1);
    if (!port.empty() && !port.starts_with(':')) bad("has something between ] and the port");
  } else {
    auto colon = host.find(':');
    if (colon != 0 && !host.empty()) to.host = unescape(host.substr(0, colon), "host");
    if (colon != std::string_view::npos) port = host.substr(colon);
  }
  if (port.empty()) return;
  port.remove_prefix(1);
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), to.port);
  if (error != std::errc() || end != port.data() + port.size() || to.port < 1 || to.port > 65535)
    bad("has a port that is no number from 1 to 65535");
}

Location::Tls tls_mode(const std::string& word) {
  if (word == "disabled") return Location::Tls::disabled;
  if (word == "required") return Location::Tls::required;
  if (word == "verify") return Location::Tls::verify;
  bad("has an ssl-mode that is none of disabled, required, verify");
}

bool local(const Location& at) {
  return !at.socket.empty() || at.host == "localhost" || at.host == "::1" || at.host.starts_with("127.");
}

void read_options(std::string_view options, Location& to) {
  bool tls_given = false;
  while (!options.empty()) {
    auto value = take(options, '&');
    auto name = take(value, '=');
    auto text = unescape(value, "options");
    if (name == "socket") {
      to.socket = text;
    } else if (name == "ssl-mode") {
      to.tls = tls_mode(text);
      tls_given = true;
    } else if (name == "ssl-ca") {
      to.ca = text;
    } else if (name == "ssl-cert") {
      to.certificate = text;
    } else if (name == "ssl-key") {
      to.key = text;
    } else {
      bad("has an option that is none of socket, ssl-mode, ssl-ca, ssl-cert, ssl-key");
    }
  }
  if (!tls_given) to.tls = local(to) ? Location::Tls::disabled : Location::Tls::verify;
}

}  // namespace

std::string Location::place() const {
  std::string where = socket.empty() ? host + ":" + std::to_string(port) : "the socket " + socket;
  return (database.empty() ? "the server" : "database " + database) + " on " + where;
}

Location parse_dsn(const std::string& dsn) {
  std::string_view text = dsn;
  if (text.starts_with("mysql://")) {
    text.remove_prefix(8);
  } else if (text.starts_with("mariadb://")) {
    text.remove_prefix(10);
  } else {
    bad("does not begin with mysql:// or mariadb://");
  }
  Location location;
  auto rest = take(text, '?');
  auto authority = take(rest, '/');
  if (rest.find('/') != std::string_view::npos) bad("has more than one / after the host");
  location.database = unescape(rest, "database");
  if (auto at = authority.rfind('@'); at != std::string_view::npos) {
    read_login(authority.substr(0, at), location);
    authority.remove_prefix(at + 1);
  }
  read_host(authority, location);
  read_options(text, location);
  return location;
}

}  // namespace muskrat::mysql

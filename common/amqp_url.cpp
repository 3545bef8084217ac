// Broker addresses: amqp:// and amqps:// URLs.
#include <charconv>
#include <optional>

#include "common/amqp.hpp"

namespace muskrat::amqp {

namespace {

// The URL itself stays out of the message: it holds the password.
[[noreturn]] void bad_url(const std::string& why) {
  throw Failure(Remedy::stop, "the broker's URL " + why +
                                  "; write amqp://user:password@host:port/vhost (or amqps://…), with %2F for a "
                                  "/ and %40 for an @ inside a part");
}

std::optional<int> hex_pair(std::string_view pair) {
  int value = 0;
  auto [end, error] = std::from_chars(pair.data(), pair.data() + pair.size(), value, 16);
  if (pair.size() != 2 || error != std::errc() || end != pair.data() + 2) return std::nullopt;
  return value;
}

std::string unescape(std::string_view text, const char* part) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    auto value = hex_pair(text.substr(i + 1, 2));
    if (!value || *value == 0) bad_url(std::string("has a broken %-escape in its ") + part);
    plain += static_cast<char>(*value);
    i += 2;
  }
  return plain;
}

int parse_port(std::string_view digits) {
  int port = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port < 1 || port > 65535)
    bad_url("has a port that is no number from 1 to 65535");
  return port;
}

void parse_login(std::string_view login, Address& address) {
  auto colon = login.find(':');
  address.user = unescape(login.substr(0, colon), "user");
  if (address.user.empty()) bad_url("has an empty user");
  address.password = colon == std::string_view::npos ? "" : unescape(login.substr(colon + 1), "password");
}

void parse_host(std::string_view place, Address& address) {
  size_t colon = place.rfind(':');
  if (place.starts_with('[')) {  // an IPv6 address holds colons of its own
    auto end = place.find(']');
    if (end == std::string_view::npos) bad_url("has a [ without its ]");
    address.host = place.substr(1, end - 1);
    place.remove_prefix(end + 1);
    if (!place.empty() && place.front() != ':') bad_url("has something between ] and the port");
    colon = place.find(':');
  } else {
    address.host = unescape(place.substr(0, colon), "host");
  }
  if (address.host.empty()) bad_url("has no host");
  if (colon != std::string_view::npos) address.port = parse_port(place.substr(colon + 1));
}

void parse_vhost(std::string_view path, Address& address) {
  if (path.empty()) return;
  if (path.find('/') != std::string_view::npos) bad_url("has more than one / after the host (a / in a vhost is %2F)");
  address.vhost = unescape(path, "vhost");
}

}  // namespace

std::string Address::place() const { return host + ":" + std::to_string(port) + " vhost " + vhost; }

Address parse_url(std::string_view url) {
  Address address;
  auto scheme_end = url.find("://");
  auto scheme = url.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end);
  if (scheme != "amqp" && scheme != "amqps") bad_url("does not begin with amqp:// or amqps://");
  address.tls = scheme == "amqps";
  address.port = address.tls ? 5671 : 5672;
  url.remove_prefix(scheme_end + 3);
  if (url.find_first_of("?#") != std::string_view::npos)
    bad_url("has options after a ? or #, which are settings of their own here (broker.heartbeat, broker.tls)");
  auto slash = url.find('/');
  auto authority = url.substr(0, slash);
  if (slash != std::string_view::npos) parse_vhost(url.substr(slash + 1), address);
  auto at = authority.rfind('@');
  if (at != std::string_view::npos) parse_login(authority.substr(0, at), address);
  parse_host(authority.substr(at == std::string_view::npos ? 0 : at + 1), address);
  return address;
}

}  // namespace muskrat::amqp

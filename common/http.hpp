// HTTP: the thin wrapper around libcurl. curl.h is included in http.cpp alone.
//
// Used by the http endpoint and by every client of an HTTP API. A Client keeps its connection alive between requests
// and belongs to one thread. An answer is a Response, whatever its status; no answer (host down, DNS, TLS, a passed
// deadline, a refused address, stop requested) is a Failure{reconnect} that names host and port, never the path, the
// query, a header or a body. TLS 1.2 and later, always verified. Redirects are answers: none is followed. The
// environment's proxies are not asked unless told so. A body larger than the bound, also after decompression, is cut
// and says so. A request that is not known to have arrived may have: repeat it with its idempotency key; NotSent says
// that it has not. What it does not do: retries, cookies, streaming.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.hpp"
#include "common/failure.hpp"
#include "common/stop.hpp"

namespace muskrat::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = "GET", url;  // http:// or https://
  Headers headers;
  std::string body;
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;
  bool cut = false;  // the body was longer than the bound, or ended before it was whole
  // The first header of that name, whatever its case.
  std::optional<std::string_view> header(std::string_view name) const;
};

struct Options {
  milliseconds connect_timeout{10'000};
  size_t response_bytes = size_t{1} << 20;
  std::string ca_file;                  // "" = the system's authorities
  bool refuse_private = false;          // addresses that are not public, looked at when connecting
  bool proxy_from_environment = false;  // http_proxy, https_proxy, no_proxy
  // A request with a body that may have got there is not made again by itself, as it is else where a connection that
  // was kept alive ends without an answer.
  bool once = false;
};

// The request surely did not get there: no connection came about.
class NotSent : public Failure {
 public:
  explicit NotSent(const std::string& what) : Failure(Remedy::reconnect, what) {}
};

class Client {
 public:
  explicit Client(Options options, const Stop* stop = nullptr);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();
  // `meanwhile` is called once, while the answer is on its way; it does not throw, and does not use this Client.
  Response send(const Request& request, Deadline deadline, const std::function<void()>& meanwhile = nullptr);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Headers' names: without regard to case.
bool same_name(std::string_view a, std::string_view b);
// Whether a header may be sent: a token for a name, no control characters in the value.
bool good_header(std::string_view name, std::string_view value);
// Everything but A-Z a-z 0-9 - . _ ~ as %XX.
std::string percent_encode(std::string_view text);
// The absolute URL that a reference found at `base` means (RFC 3986); "" when it is none.
std::string resolve(const std::string& base, const std::string& reference);
// "https://stats.example.com:443", for comparing; "" when it is no http or https URL.
std::string origin_of(const std::string& url);
// An HTTP date as seconds since 1970.
std::optional<int64_t> date_of(std::string_view value);
// Retry-After: seconds, or an HTTP date against `now_s` (seconds since 1970); nullopt for what is neither, or not to
// come.
std::optional<milliseconds> retry_after(std::string_view value, int64_t now_s);
// Loopback, private, link-local, shared, multicast, unspecified, and such wrapped in IPv6; `address` as text.
bool is_private_address(const std::string& address);

}  // namespace muskrat::http

#include "common/http.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <mutex>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace muskrat::http {
namespace {

constexpr size_t header_bytes = size_t{256} << 10;
constexpr milliseconds longest_wait{1000};
constexpr std::chrono::seconds idle_most{20};  // servers close what was idle for longer, often just when it is used

// ---- addresses ----

bool in_v4(uint32_t address, uint32_t net, unsigned bits) { return (address ^ net) >> (32 - bits) == 0; }

bool private_v4(uint32_t a) {
  struct Net {
    uint32_t net;
    unsigned bits;
  };
  constexpr std::array nets{Net{0x00000000, 8},  Net{0x0A000000, 8},  Net{0x64400000, 10}, Net{0x7F000000, 8},
                            Net{0xA9FE0000, 16}, Net{0xAC100000, 12}, Net{0xC0000000, 24}, Net{0xC0A80000, 16},
                            Net{0xC6120000, 15}, Net{0xE0000000, 4},  Net{0xF0000000, 4}};
  return std::any_of(nets.begin(), nets.end(), [a](const Net& n) { return in_v4(a, n.net, n.bits); });
}

bool private_v6(const in6_addr& address) {
  const uint8_t* b = address.s6_addr;
  const auto v4_at = [b](int i) {
    return uint32_t{b[i]} << 24 | uint32_t{b[i + 1]} << 16 | uint32_t{b[i + 2]} << 8 | uint32_t{b[i + 3]};
  };
  const auto zeros = [b](int from, int to) { return std::all_of(b + from, b + to, [](uint8_t x) { return x == 0; }); };
  if (zeros(0, 10) && b[10] == 0xFF && b[11] == 0xFF) return private_v4(v4_at(12));             // ::ffff:a.b.c.d
  if (zeros(0, 12)) return true;                                                                // ::, ::1, ::a.b.c.d
  if (b[0] == 0 && b[1] == 0x64 && b[2] == 0xFF && b[3] == 0x9B) return private_v4(v4_at(12));  // 64:ff9b::/96
  if (b[0] == 0x20 && b[1] == 0x02) return private_v4(v4_at(2));                                // 6to4
  return (b[0] & 0xFE) == 0xFC || (b[0] == 0xFE && (b[1] & 0xC0) == 0x80) || b[0] == 0xFF;
}

bool private_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return private_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    return private_v6(v6.sin6_addr);
  }
  return true;
}

// ---- curl ----

void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

struct Exchange {
  Response response;
  size_t most = 0, header_bytes_seen = 0;
  bool too_long = false, refused_address = false;
};

size_t on_body(char* data, size_t, size_t size, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  const size_t room = exchange.most - std::min(exchange.most, exchange.response.body.size());
  exchange.response.body.append(data, std::min(size, room));
  if (size <= room) return size;
  exchange.too_long = true;
  return 0;
}

// The rest of a body, as much as there is room for.
size_t on_read(char* room, size_t, size_t size, void* context) {
  auto& left = *static_cast<std::string_view*>(context);
  const size_t part = std::min(size, left.size());
  std::memcpy(room, left.data(), part);
  left.remove_prefix(part);
  return part;
}

std::string_view trimmed(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

size_t on_header(char* data, size_t, size_t size, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  exchange.header_bytes_seen += size;
  if (exchange.header_bytes_seen > header_bytes) return 0;
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) exchange.response.headers.clear();  // after a 100 Continue
  if (const size_t colon = line.find(':'); colon != std::string_view::npos && !line.starts_with("HTTP/"))
    exchange.response.headers.emplace_back(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  return size;
}

curl_socket_t on_open_socket(void* context, curlsocktype, curl_sockaddr* address) {
  if (private_address(&address->addr)) {
    static_cast<Exchange*>(context)->refused_address = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// A URL that curl has taken apart.
class Url {
 public:
  explicit Url(const std::string& text) : parts_(curl_url(), curl_url_cleanup) { good_ = set(text); }
  bool good() const { return good_; }
  // Relative to what it is now.
  bool set(const std::string& text) { return curl_url_set(parts_.get(), CURLUPART_URL, text.c_str(), 0) == CURLUE_OK; }
  std::string part(CURLUPart what, unsigned flags = CURLU_DEFAULT_PORT) const {
    char* text = nullptr;
    if (curl_url_get(parts_.get(), what, &text, flags) != CURLUE_OK) return "";
    const std::unique_ptr<char, decltype(&curl_free)> owned(text, curl_free);
    return text;
  }

 private:
  std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parts_;
  bool good_ = false;
};

// Host and port alone: a path or a query may hold a secret.
std::string place_of(const std::string& url) {
  const Url parts(url);
  return parts.good() ? parts.part(CURLUPART_HOST) + ":" + parts.part(CURLUPART_PORT) : "the URL";
}

}  // namespace

struct Client::Impl {
  Options options;
  const Stop* stop;
  CURLM* multi = nullptr;
  CURL* easy = nullptr;
  std::array<char, CURL_ERROR_SIZE> error{};
  std::string_view left_to_send;  // of a body that goes once
  std::string shape;              // method and whether there is a body: what `easy` is set up for

  Impl(Options o, const Stop* s) : options(std::move(o)), stop(s) {
    start_curl();
    multi = curl_multi_init();
    easy = curl_easy_init();
    if (multi == nullptr || easy == nullptr) throw Failure(Remedy::stop, "cannot start libcurl");
  }
  ~Impl() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }

  template <typename Value>
  void set(CURLoption option, Value value) {
    if (const CURLcode code = curl_easy_setopt(easy, option, value); code != CURLE_OK)
      throw Failure(Remedy::stop, std::string("libcurl refuses an option: ") + curl_easy_strerror(code));
  }

  // What every request of one shape has in common is told to libcurl once, not with each.
  void prepare(const Request& request, const curl_slist* headers, Exchange& exchange, Deadline deadline) {
    const bool with_body = !request.body.empty() || request.method == "POST";
    const std::string wanted = (with_body ? "+" : "-") + request.method;
    if (shape != wanted) begin_shape(request);
    shape = wanted;
    set(CURLOPT_URL, request.url.c_str());
    if (with_body) {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      if (options.once)
        offer(request.body);
      else
        set(CURLOPT_POSTFIELDS, request.body.c_str());
    }
    set(CURLOPT_HTTPHEADER, headers);
    const int left = std::max(1, deadline.poll_timeout());
    set(CURLOPT_TIMEOUT_MS, long{left});
    set(CURLOPT_CONNECTTIMEOUT_MS, std::min(long{left}, static_cast<long>(options.connect_timeout.count())));
    watch(exchange);
  }

  // As something that can be read once: libcurl cannot begin anew.
  void offer(std::string_view body) {
    left_to_send = body;
    set(CURLOPT_POST, 1L);
    set(CURLOPT_READFUNCTION, on_read);
    set(CURLOPT_READDATA, static_cast<void*>(&left_to_send));
  }

  void begin_shape(const Request& request) {
    shape.clear();
    curl_easy_reset(easy);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (request.method == "HEAD") set(CURLOPT_NOBODY, 1L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);  // else the end of a request waits for its lookup of the host, however long
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_ACCEPT_ENCODING, "");
    set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
    if (!options.proxy_from_environment) set(CURLOPT_PROXY, "");
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_WRITEFUNCTION, on_body);
    set(CURLOPT_HEADERFUNCTION, on_header);
    set(CURLOPT_ERRORBUFFER, error.data());
    if (options.refuse_private) set(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    if (options.once) set(CURLOPT_MAXAGE_CONN, long{idle_most.count()});
  }

  void watch(Exchange& exchange) {
    exchange.most = options.response_bytes;
    error[0] = '\0';
    set(CURLOPT_WRITEDATA, static_cast<void*>(&exchange));
    set(CURLOPT_HEADERDATA, static_cast<void*>(&exchange));
    if (options.refuse_private) set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&exchange));
  }

  // nullopt: stop was requested.
  std::optional<CURLcode> perform(Deadline deadline, const std::function<void()>& meanwhile) {
    for (bool first = true;; first = false) {
      int running = 0, left = 0;
      curl_multi_perform(multi, &running);
      if (first && meanwhile) meanwhile();
      if (const CURLMsg* message = curl_multi_info_read(multi, &left); message != nullptr) return message->data.result;
      if (stop != nullptr && stop->requested()) return std::nullopt;
      curl_waitfd extra{stop != nullptr ? stop->fd() : -1, CURL_WAIT_POLLIN, 0};
      const int wait = std::min(deadline.poll_timeout() + 1, static_cast<int>(longest_wait.count()));
      curl_multi_poll(multi, &extra, stop != nullptr ? 1 : 0, wait, nullptr);
    }
  }

  [[noreturn]] void fail(CURLcode code, const Exchange& exchange, const std::string& place) const {
    if (exchange.refused_address)
      throw NotSent(place + " is an address in a private network, and private_networks is refuse");
    const bool certificate = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
    // these texts hold addresses and certificates' names; others might quote what was sent
    const bool telling = certificate || code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                         code == CURLE_OPERATION_TIMEDOUT || code == CURLE_SSL_CONNECT_ERROR;
    if (code == CURLE_SEND_FAIL_REWIND)
      throw Failure(Remedy::reconnect, place + ": the connection ended without an answer");
    const std::string why = telling && error[0] != '\0' ? error.data() : curl_easy_strerror(code);
    const std::string what =
        place + ": " + why + (certificate ? "; name its authority with ca_file if it is a private one" : "");
    const bool unconnected = certificate || code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                             code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_SSL_CONNECT_ERROR;
    if (unconnected) throw NotSent(what);
    throw Failure(Remedy::reconnect, what);
  }
};

Client::Client(Options options, const Stop* stop) : impl_(std::make_unique<Impl>(std::move(options), stop)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Response Client::send(const Request& request, Deadline deadline, const std::function<void()>& meanwhile) {
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(nullptr, curl_slist_free_all);
  const auto add = [&](const std::string& line) { headers.reset(curl_slist_append(headers.release(), line.c_str())); };
  add("Expect:");  // a wait for 100 Continue costs a second where the server knows it not
  for (const auto& [name, value] : request.headers) {
    if (!good_header(name, value))
      throw Failure(Remedy::stop, "the header " + name + " may not be sent: control characters");
    add(value.empty() ? name + ";" : name + ": " + value);
  }
  Exchange exchange;
  impl_->prepare(request, headers.get(), exchange, deadline);
  curl_multi_add_handle(impl_->multi, impl_->easy);
  const auto code = impl_->perform(deadline, meanwhile);
  curl_multi_remove_handle(impl_->multi, impl_->easy);
  if (!code || *code != CURLE_OK) impl_->shape.clear();  // after a failure it is all told anew
  if (!code) throw Failure(Remedy::reconnect, place_of(request.url) + ": stopped while waiting for the answer");
  long status = 0;
  curl_easy_getinfo(impl_->easy, CURLINFO_RESPONSE_CODE, &status);
  const bool half = *code == CURLE_PARTIAL_FILE || exchange.too_long;
  if (*code != CURLE_OK && !(half && status >= 200)) impl_->fail(*code, exchange, place_of(request.url));
  exchange.response.status = static_cast<int>(status);
  exchange.response.cut = half;
  return std::move(exchange.response);
}

// ---- small things ----

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](unsigned char x, unsigned char y) { return tolower(x) == tolower(y); });
}

std::optional<std::string_view> Response::header(std::string_view name) const {
  for (const auto& [given, value] : headers)
    if (same_name(given, name)) return value;
  return std::nullopt;
}

bool good_header(std::string_view name, std::string_view value) {
  const auto token = [](unsigned char c) {
    return isalnum(c) || (c != 0 && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
  };
  const auto control = [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7F; };
  return !name.empty() && std::all_of(name.begin(), name.end(), token) &&
         std::none_of(value.begin(), value.end(), control);
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && (isalnum(byte) || std::string_view("-._~").find(c) != std::string_view::npos)) {
      out += c;
    } else {
      out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return out;
}

std::string resolve(const std::string& base, const std::string& reference) {
  Url url(base);
  return url.good() && url.set(reference) ? url.part(CURLUPART_URL, 0) : "";
}

std::string origin_of(const std::string& url) {
  const Url parts(url);
  const std::string scheme = parts.part(CURLUPART_SCHEME);
  if (!parts.good() || (scheme != "http" && scheme != "https")) return "";
  return scheme + "://" + parts.part(CURLUPART_HOST) + ":" + parts.part(CURLUPART_PORT);
}

std::optional<int64_t> date_of(std::string_view value) {
  const std::time_t then = curl_getdate(std::string(value).c_str(), nullptr);
  return then == -1 ? std::nullopt : std::optional(static_cast<int64_t>(then));
}

std::optional<milliseconds> retry_after(std::string_view value, int64_t now_s) {
  int64_t seconds = 0;
  const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (fault != std::errc() || end != value.data() + value.size() || value.empty()) {
    const auto then = date_of(value);
    if (!then) return std::nullopt;
    seconds = *then - now_s;
  }
  constexpr int64_t most = int64_t{7} * 86400;
  if (seconds <= 0) return std::nullopt;
  return std::chrono::seconds(std::min(seconds, most));
}

bool is_private_address(const std::string& address) {
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return private_v4(ntohl(v4.s_addr));
  return inet_pton(AF_INET6, address.c_str(), &v6) != 1 || private_v6(v6);
}

}  // namespace muskrat::http

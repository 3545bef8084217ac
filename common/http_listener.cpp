#include "common/http_listener.hpp"

#include <charconv>
#include <optional>
#include <thread>

#include <httplib.h>

#include "common/clock.hpp"
#include "common/failure.hpp"
#include "common/log.hpp"
#include "common/threads.hpp"

namespace muskrat::http {
namespace {

constexpr size_t threads = 64;
constexpr int patience_s = 5;
constexpr milliseconds body_time{10'000};  // a sender who dribbles is not waited for

struct Place {
  std::string host;
  int port = 0;
};

std::optional<Place> place_of(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  Place place{address.substr(0, colon), -1};
  const char* end = address.data() + address.size();
  const auto read = std::from_chars(address.data() + colon + 1, end, place.port);
  if (read.ec != std::errc() || read.ptr != end || place.port < 0 || place.port > 65535) return std::nullopt;
  if (place.host.starts_with('[') && place.host.ends_with(']'))
    place.host = place.host.substr(1, place.host.size() - 2);
  if (place.host == "*") place.host = "0.0.0.0";
  if (place.host.empty()) return std::nullopt;
  return place;
}

}  // namespace

struct Listener::Impl {
  httplib::Server server;
  Handler handler;
  size_t body_bytes = 0;
  std::thread thread;
  int port = 0;

  void set_up();
  void receive(const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& read) const;
  void answer(const httplib::Request& request, std::string body, httplib::Response& response) const;
  void bind(const Place& place);
  void start();
};

void Listener::Impl::set_up() {
  server.new_task_queue = [] { return new httplib::ThreadPool(threads); };
  server.set_keep_alive_max_count(1);
  server.set_read_timeout(patience_s);
  server.set_write_timeout(patience_s);
  server.set_payload_max_length(body_bytes);
  // The library's default is SO_REUSEPORT, under which a second process on the same port would bind without a word.
  server.set_socket_options([](socket_t socket) {
    int one = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  });
  server.set_default_headers({{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
  server.Get(".*",
             [this](const httplib::Request& request, httplib::Response& response) { answer(request, "", response); });
  server.Post(".*", [this](const httplib::Request& request, httplib::Response& response,
                           const httplib::ContentReader& read) { receive(request, response, read); });
}

void Listener::Impl::receive(const httplib::Request& request, httplib::Response& response,
                             const httplib::ContentReader& read) const {
  std::string body;
  const auto deadline = Deadline::in(body_time);
  int refusal = 400;
  const bool whole = read([&](const char* data, size_t size) {
    if (body.size() + size > body_bytes) refusal = 413;
    if (deadline.passed()) refusal = 408;
    if (refusal == 400) body.append(data, size);
    return refusal == 400;
  });
  if (whole) return answer(request, std::move(body), response);
  if (response.status < 400) response.status = refusal;
}

void Listener::Impl::answer(const httplib::Request& request, std::string body, httplib::Response& response) const {
  Asked asked{request.method, request.path, {}, std::move(body)};
  for (const auto& [name, value] : request.params) asked.query.emplace(name, value);
  Answered answered{500, ""};
  try {
    answered = handler(asked);
  } catch (const std::exception& problem) {
    log::error("listener", "a request could not be handled", {{"why", problem.what()}});
  }
  response.status = answered.status;
  response.set_content(answered.body, "text/plain");
}

void Listener::Impl::bind(const Place& place) {
  port = place.port;
  bool bound = true;
  if (port == 0)
    bound = (port = server.bind_to_any_port(place.host)) > 0;
  else
    bound = server.bind_to_port(place.host, port);
  if (!bound)
    throw Failure(Remedy::reconnect, "cannot listen on " + place.host + ":" + std::to_string(place.port) +
                                         "; another process has the port, or the address is not this machine's");
}

void Listener::Impl::start() {
  thread = std::thread([this] {
    name_this_thread("listener");
    server.listen_after_bind();
  });
  // stop() does nothing before the server runs, and the thread would then never end.
  const auto deadline = Deadline::in(std::chrono::seconds(5));
  while (!server.is_running() && !deadline.passed()) std::this_thread::sleep_for(milliseconds(1));
}

Listener::Listener(const std::string& address, size_t body_bytes, Handler handler) : impl_(std::make_unique<Impl>()) {
  const auto place = place_of(address);
  if (!place) throw Failure(Remedy::stop, "listen: " + address + " is not of the form 127.0.0.1:9400");
  impl_->handler = std::move(handler);
  impl_->body_bytes = body_bytes;
  impl_->set_up();
  impl_->bind(*place);
  impl_->start();
}

Listener::~Listener() {
  if (!impl_->thread.joinable()) return;
  impl_->server.stop();
  impl_->thread.join();
}

int Listener::port() const { return impl_->port; }

bool good_listen_address(const std::string& address) { return place_of(address).has_value(); }

}  // namespace muskrat::http

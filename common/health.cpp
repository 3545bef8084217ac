#include "common/health.hpp"

#include <algorithm>
#include <charconv>
#include <thread>

#include <httplib.h>
#include <openssl/evp.h>

#include "common/digest.hpp"
#include "common/failure.hpp"
#include "common/health_page.hpp"
#include "common/log.hpp"
#include "common/metrics.hpp"
#include "common/threads.hpp"

namespace muskrat {

// ---- the board ----

StatusBoard::Row& StatusBoard::row(const std::string& name) {
  auto found = std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return r.name == name; });
  if (found != rows_.end()) return *found;
  rows_.push_back({name, "starting", "", false, std::chrono::steady_clock::now(), {}});
  return rows_.back();
}

void StatusBoard::beat(const std::string& name) {
  std::lock_guard lock(mutex_);
  row(name).beat = std::chrono::steady_clock::now();
}

void StatusBoard::set(const std::string& name, bool ready, const std::string& state, const std::string& why) {
  std::lock_guard lock(mutex_);
  auto& r = row(name);
  r.ready = ready;
  r.state = state;
  r.why = why;
  r.beat = std::chrono::steady_clock::now();
}

void StatusBoard::set_figures(const std::string& name, std::vector<std::pair<std::string, std::string>> figures) {
  std::lock_guard lock(mutex_);
  row(name).figures = std::move(figures);
}

std::vector<StatusBoard::Row> StatusBoard::rows() const {
  std::lock_guard lock(mutex_);
  return rows_;
}

// ---- the server ----

namespace {

struct Listen {
  std::string host;
  int port = 0;
};

Listen parse_listen(const std::string& text) {
  auto colon = text.rfind(':');
  Listen listen{text.substr(0, colon), -1};
  if (colon != std::string::npos) {
    auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), listen.port);
    if (error != std::errc() || end != text.data() + text.size()) listen.port = -1;
  }
  if (listen.port < 0 || listen.port > 65535)
    throw Failure(Remedy::stop,
                  "listen address " + text + " is not of the form 127.0.0.1:9464; mend the setting listen");
  if (listen.host.starts_with('[') && listen.host.ends_with(']'))
    listen.host = listen.host.substr(1, listen.host.size() - 2);
  if (listen.host.empty() || listen.host == "*") listen.host = "0.0.0.0";
  return listen;
}

bool loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

// "user:token" out of a Basic header: what a browser sends when it has asked its user.
std::string basic_password(std::string_view encoded) {
  if (encoded.size() > 4096 || encoded.size() % 4 != 0) return "";
  std::string plain(encoded.size(), '\0');
  auto* out = reinterpret_cast<unsigned char*>(plain.data());
  auto* in = reinterpret_cast<const unsigned char*>(encoded.data());
  int bytes = EVP_DecodeBlock(out, in, static_cast<int>(encoded.size()));
  if (bytes < 0) return "";
  // The padding is decoded to NULs.
  plain.resize(static_cast<size_t>(bytes));
  plain.erase(plain.find_last_not_of('\0') + 1);
  auto colon = plain.find(':');
  return colon == std::string::npos ? "" : plain.substr(colon + 1);
}

bool authorized(const httplib::Request& request, const std::string& token) {
  auto header = request.get_header_value("Authorization");
  std::string_view text = header;
  if (text.starts_with("Bearer ")) return same_secret(text.substr(7), token);
  if (text.starts_with("Basic ")) return same_secret(basic_password(text.substr(6)), token);
  return false;
}

// What a load balancer asks, which can give no token.
bool is_probe(const httplib::Request& request) { return request.path == "/healthz" || request.path == "/readyz"; }

SteadyTime now() { return std::chrono::steady_clock::now(); }

}  // namespace

struct HealthServer::Impl {
  httplib::Server server;
  std::thread thread;
  int port = 0;

  std::string token;

  void set_up(const std::string& wanted_token, const StatusBoard& board);
  bool may_know(const httplib::Request& request) const { return token.empty() || authorized(request, token); }
  void answer(const httplib::Request& request, httplib::Response& response, const Verdict& verdict,
              const char* type) const;
  void bind(const Listen& listen);
  void start();
};

void HealthServer::Impl::answer(const httplib::Request& request, httplib::Response& response, const Verdict& verdict,
                                const char* type) const {
  response.status = verdict.ok ? 200 : 503;
  response.set_content(may_know(request) ? verdict.body : verdict.brief, type);
}

void HealthServer::Impl::set_up(const std::string& wanted_token, const StatusBoard& board) {
  token = wanted_token;
  server.new_task_queue = [] { return new httplib::ThreadPool(4); };
  // One request a connection and short waits: an idle client must not hold up the end of the daemon.
  server.set_keep_alive_max_count(1);
  server.set_read_timeout(2);
  server.set_write_timeout(2);
  server.set_payload_max_length(4096);
  // The library's default is SO_REUSEPORT, under which a second daemon on the same port would bind without a word.
  server.set_socket_options([](socket_t socket) {
    int one = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  });
  server.set_default_headers({{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
  server.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (is_probe(request) || may_know(request)) return httplib::Server::HandlerResponse::Unhandled;
    response.status = 401;
    response.set_header("WWW-Authenticate", "Basic realm=\"muskrat\"");
    response.set_content("a token is needed: Authorization: Bearer <token>\n", "text/plain");
    return httplib::Server::HandlerResponse::Handled;
  });
  server.Get("/metrics", [&board](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics::render(readiness(board.rows(), now())), "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/healthz", [this, &board](const httplib::Request& request, httplib::Response& response) {
    answer(request, response, alive(board.rows(), now()), "text/plain");
  });
  server.Get("/readyz", [this, &board](const httplib::Request& request, httplib::Response& response) {
    answer(request, response, ready(board.rows()), "application/json");
  });
  server.Get("/status", [&board](const httplib::Request&, httplib::Response& response) {
    response.set_content(status_json(board.rows(), now()), "application/json");
  });
  server.Get("/", [&board](const httplib::Request&, httplib::Response& response) {
    response.set_content(status_page(board.rows(), now()), "text/html; charset=utf-8");
  });
}

void HealthServer::Impl::bind(const Listen& listen) {
  port = listen.port;
  bool bound = true;
  if (port == 0)
    bound = (port = server.bind_to_any_port(listen.host)) > 0;
  else
    bound = server.bind_to_port(listen.host, port);
  if (bound) return;
  throw Failure(Remedy::stop, "cannot listen on " + listen.host + ":" + std::to_string(listen.port) +
                                  "; another process has the port, or the address is not this machine's: choose "
                                  "another one in the setting listen");
}

void HealthServer::Impl::start() {
  thread = std::thread([this] {
    name_this_thread("status page");
    server.listen_after_bind();
  });
  // stop() does nothing before the server runs, and the thread would then never end.
  auto deadline = Deadline::in(std::chrono::seconds(5));
  while (!server.is_running() && !deadline.passed()) std::this_thread::sleep_for(milliseconds(1));
}

HealthServer::HealthServer(const std::string& listen, const std::string& token, const StatusBoard& board)
    : impl_(std::make_unique<Impl>()) {
  if (listen.empty()) return;
  auto where = parse_listen(listen);
  if (!loopback(where.host) && token.empty())
    throw Failure(Remedy::stop,
                  "listening on " + listen +
                      " shows the status to the network, so it needs a token: set the token beside it, or "
                      "listen on 127.0.0.1");
  impl_->set_up(token, board);
  impl_->bind(where);
  impl_->start();
  log::info("health", "listening", {{"address", where.host}, {"port", impl_->port}});
}

HealthServer::~HealthServer() {
  if (!impl_->thread.joinable()) return;
  impl_->server.stop();
  impl_->thread.join();
}

int HealthServer::port() const { return impl_->port; }

}  // namespace muskrat

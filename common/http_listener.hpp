// Listens for HTTP requests of others, such as webhooks: bounded bodies, short waits, a few threads.
//
// Used by the source kind braintree-webhooks. The handler is called on the listener's threads, some at a time; what it
// throws is answered with 500. Plain HTTP: what ends TLS stands before it. httplib.h is included in http_listener.cpp
// and health.cpp alone. Thread rule: made, asked and ended by one owner.
// What it does not do: keep connections, read forms (the library takes none above 8 KiB).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace muskrat::http {

struct Asked {
  std::string method, path;
  std::map<std::string, std::string> query;
  std::string body;
};

struct Answered {
  int status = 200;
  std::string body;  // text/plain
};

class Listener {
 public:
  using Handler = std::function<Answered(const Asked&)>;

  // "127.0.0.1:9400"; port 0 picks one. A longer body than `body_bytes` is answered with 413. Failure{reconnect} when
  // it cannot listen there.
  Listener(const std::string& address, size_t body_bytes, Handler handler);
  // Waits for the requests that are at work.
  ~Listener();
  int port() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether an address has the form of one to listen on.
bool good_listen_address(const std::string& address);

}  // namespace muskrat::http

// The daemon's window: /metrics, /healthz, /readyz and / (a status page), served
// by cpp-httplib on a thread of its own. Loopback by default; a listen address
// beyond loopback needs a token (Authorization: Bearer …).
//
// Components publish their state through StatusBoard; the server reads it.
// /healthz: 200 while the process makes progress (every component beat within its bound),
// else 503 naming the stuck one.
// /readyz: 200 when every component is ready (connected, leading or standing by), else 503
// with the reasons as JSON.
// /metrics: everything that is counted, and muskrat_ready, which says for each component what /readyz says.
// With a token, every path asks for it: as Bearer, or as the password of Basic (browsers). /healthz and /readyz answer
// without it too, for load balancers and orchestrators; then the body names nobody and no reason.
// Thread rule: StatusBoard is safe from any thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/json.hpp"

namespace muskrat {

class StatusBoard {
 public:
  // `name` like "source frontend" or "endpoint analytics".
  void beat(const std::string& name);  // "I am alive": to be called at least every 30 s
  // state: one word (connecting, leading, standby, blocked, parked, stopped, …); why: a sentence, empty when all is
  // well.
  void set(const std::string& name, bool ready, const std::string& state, const std::string& why);
  // Figures for the page and /status: rates, lag, retries, dead letters.
  void set_figures(const std::string& name, std::vector<std::pair<std::string, std::string>> figures);

  struct Row {
    std::string name, state, why;
    bool ready = false;
    SteadyTime beat;
    std::vector<std::pair<std::string, std::string>> figures;
  };
  std::vector<Row> rows() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Row> rows_;
  Row& row(const std::string& name);
};

class HealthServer {
 public:
  // `listen` "127.0.0.1:9464"; port 0 picks one (see port()); "" serves nothing. Failure{stop} when it cannot bind, or
  // when the address is not loopback and token is empty.
  HealthServer(const std::string& listen, const std::string& token, const StatusBoard& board);
  ~HealthServer();
  int port() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muskrat

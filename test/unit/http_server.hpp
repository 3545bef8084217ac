// A scripted HTTP server of cpp-httplib in this process, which journals every request.
//
// Used by test_http.cpp and test_http_endpoint.cpp. Thread rule: answer is set before requests come; the journal is
// read after they were answered.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <httplib.h>

namespace muskrat::unit {

class HttpServer {
 public:
  HttpServer() {
    const auto handle = [this](const httplib::Request& request, httplib::Response& response) {
      size_t nth = 0;
      {
        std::lock_guard lock(mutex_);
        journal_.push_back(request);
        nth = journal_.size();
      }
      response.set_content("{}", "application/json");
      if (answer) answer(request, response, nth);
    };
    server_.Get(".*", handle);
    server_.Post(".*", handle);
    server_.Put(".*", handle);
    server_.Patch(".*", handle);
    server_.Delete(".*", handle);
    server_.set_keep_alive_max_count(10'000);
    server_.set_tcp_nodelay(true);
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() of a server that does not run yet would be lost
    while (!server_.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ~HttpServer() {
    server_.stop();
    thread_.join();
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& path = "/") const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
  std::vector<httplib::Request> journal() {
    std::lock_guard lock(mutex_);
    return journal_;
  }

  // Called for each request with its number from 1; the answer is 200 and {} unless it changes it.
  std::function<void(const httplib::Request&, httplib::Response&, size_t nth)> answer;

 private:
  httplib::Server server_;
  int port_ = 0;
  std::mutex mutex_;
  std::vector<httplib::Request> journal_;
  std::thread thread_;
};

}  // namespace muskrat::unit

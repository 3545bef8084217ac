// HTTP calls of a scheduled run, in good manners: at most so many a second, and tried again where that may help.
//
// Used by the kinds that read an HTTP API (http-json, salesforce, braintree), which judge the answers. Tried again,
// eight times with a pause that grows, are lost connections, answers that end in their middle, and those that the kind
// says may pass; Retry-After is obeyed, up to a day. Failures name the origin and the status and never a word of an
// answer. Thread rule: one owner. What it does not do: follow redirects, log in.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/http.hpp"
#include "common/options.hpp"
#include "relay/scheduled/run.hpp"

namespace muskrat {

// requests, timeout, response_bytes, ca_file, proxy
OptionTable http_calls_options();

// 408, 425, 429 and 5xx.
bool may_pass(const http::Response& response);

// The least time between two requests, where so many a second are allowed.
std::chrono::microseconds pause_between(int64_t requests);

class HttpCalls {
 public:
  using Passes = std::function<bool(const http::Response&)>;

  HttpCalls(const Settings& settings, const Stop& stop, Passes passes = may_pass);
  // Any whole answer; one that may pass only after the last try. Waits through `run`; without one there is one try.
  // Failure when there is no answer, when it is larger than response_bytes, and when asked to stop.
  http::Response send(const http::Request& request, Run* run);
  // Now by the server's clock (`Date`), as far as it was heard; else by ours.
  int64_t now_us() const;
  bool heard_the_time() const { return ahead_us_.has_value(); }
  // For what is not a page, such as a login.
  http::Client& client() { return client_; }
  Deadline deadline() const { return Deadline::in(settings_.duration("timeout")); }

 private:
  http::Response whole(const http::Request& request);
  std::optional<http::Response> answered(const http::Request& request, int tries, Run* run);
  static bool wait_before_next(const http::Response& response, int tries, Run& run);
  void wait_our_turn(Run& run);

  const Settings& settings_;
  const Stop& stop_;
  Passes passes_;
  http::Client client_;
  SteadyTime next_{};
  std::optional<int64_t> ahead_us_;  // the server's clock before ours
};

}  // namespace muskrat

// An API's access token: fetched once for all lanes of an endpoint, anew before its end, and once after the API refused
// it.
//
// Used by endpoint kinds that call an API (marketo), which say how it is fetched. While one lane fetches, the others
// wait, up to their deadline. What it does not do: keep a token over a restart, or judge answers.
// Thread rule: any thread.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "common/clock.hpp"

namespace muskrat::api {

struct Token {
  std::string text;
  milliseconds life{0};  // as the server says
};

class SharedToken {
 public:
  // Throws Failure where there is none to be had.
  using Fetch = std::function<Token(Deadline)>;

  std::string get(const Fetch& fetch, Deadline deadline);
  // After the API refused `refused`: the newer one where another lane has fetched it meanwhile.
  std::string renew(const std::string& refused, const Fetch& fetch, Deadline deadline);

 private:
  std::string fetched(const Fetch& fetch, Deadline deadline);

  std::timed_mutex mutex_;
  std::string token_;
  SteadyTime until_{};
};

}  // namespace muskrat::api

// An API's access token: fetched once for all who call with it, anew before its end, and once after the API refused it.
//
// Used by clients of APIs with a login (the endpoint kinds marketo and salesforce, the source kind salesforce), which
// say how it is fetched. While one thread fetches, the others wait, up to their deadline; what the fetch fails with,
// they fail with too: a login that is refused is not tried by every lane in turn, which could lock the account. What it
// does not do: keep a token over a restart, or judge answers. Thread rule: any thread.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "common/clock.hpp"
#include "common/failure.hpp"

namespace muskrat::api {

struct Token {
  std::string text;
  milliseconds life{0};       // as the server says
  std::string base_url = {};  // where the server says that it is to be used; "" = it does not say
  std::string user = {};      // whose it is, by the server's own id; "" = it does not say
};

class SharedToken {
 public:
  // Throws Failure where there is none to be had.
  using Fetch = std::function<Token(Deadline)>;

  Token get(const Fetch& fetch, Deadline deadline);
  // After the API refused `refused`: the newer one where another lane has fetched it meanwhile.
  Token renew(const std::string& refused, const Fetch& fetch, Deadline deadline);

 private:
  Token fetched(const Fetch& fetch, SteadyTime came, Deadline deadline);

  std::timed_mutex mutex_;
  Token token_;
  SteadyTime until_{}, failed_at_{};
  std::optional<Failure> failure_;
};

}  // namespace muskrat::api

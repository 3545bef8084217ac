// Logging in to Salesforce: OAuth 2.0 with a signed assertion (JWT bearer), as the app itself (client credentials), or
// with a refresh token that a person once allowed.
//
// Used by the endpoint kind and the source kind salesforce through api_token.hpp. The answer names the instance that
// calls go to, and the user. It names no end, so the session's length is a setting. Secrets are read anew at each
// login; a refresh token that Salesforce replaces is kept before the session is used (token_file.hpp). A login that is
// refused is a Failure{reconnect} in a person's words: what Salesforce says, and what to do about it there.
// Thread rule: one call at a time. What it does not do: the flow in a browser that a first refresh token comes from.
#pragma once

#include <string>
#include <vector>

#include "common/api_token.hpp"
#include "common/http.hpp"
#include "common/options.hpp"

namespace muskrat::salesforce {

OptionTable login_options();
void check_login(const Settings& settings, std::vector<Problem>& problems);

// The form that goes to the token endpoint. `now_s`: seconds since 1970.
std::string login_form(const Settings& settings, int64_t now_s, const std::string& refresh_token);

// What the answer holds; Failure for what is no login.
api::Token read_login(const http::Response& response, const Settings& settings);
// The refresh token that it brings, whatever else it holds; "" = none.
std::string next_refresh_token(const http::Response& response);

class Login {
 public:
  api::Token operator()(http::Client& client, const Settings& settings, Deadline deadline);

 private:
  api::Token refreshed(http::Client& client, const Settings& settings, Deadline deadline);
  std::string unkept_;  // a refresh token that is good and could not be written down
};

}  // namespace muskrat::salesforce

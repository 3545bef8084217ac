// Calls of the source kind salesforce: a session, JSON answers, and the share of the org's daily calls that is ours.
//
// Used by salesforce.cpp and salesforce_fields.cpp. A session that ended is renewed once in a call. Where the org has
// used its share of calls (Sforce-Limit-Info) the run rests, says so, and looks again. Errors are Failures with
// Salesforce's code and, of a field that is not there, its name; never a message, which quotes values.
// Neighbours: HttpCalls (manners), salesforce_login.hpp. Thread rule: one owner.
#pragma once

#include <string>

#include "common/json.hpp"
#include "common/salesforce_answer.hpp"
#include "common/salesforce_login.hpp"
#include "relay/scheduled/http_calls.hpp"

namespace muskrat::salesforce_source {

OptionTable api_options();

// What outlives a run.
struct Session {
  api::SharedToken token;
  salesforce::Login login;  // through `token` alone
};

class Refused : public Failure {
 public:
  Refused(const std::string& what, std::string code) : Failure(Remedy::reconnect, what), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

class Api {
 public:
  // Without a run nothing is tried again and nothing is waited for.
  Api(const Settings& settings, Session& session, const Stop& stop, Run* run);

  // "/sobjects/Contact/describe" in this API's version, or a path that an answer named.
  json::Document get(const std::string& path);
  // The id of who we are; "" where Salesforce does not say.
  std::string user();
  const HttpCalls& calls() const { return calls_; }

 private:
  api::Token token();
  http::Response send(const std::string& path);
  http::Response call(const std::string& path, const api::Token& token);
  void note(const http::Response& response);
  void keep_to_the_share();
  bool rest(const http::Response& response);
  std::string path_of(const std::string& path) const;

  const Settings& settings_;
  Session& session_;
  Run* run_;
  HttpCalls calls_;
  salesforce::Usage usage_;
};

}  // namespace muskrat::salesforce_source

// One lane's calls to Salesforce: the session, the limits, and a session renewed once when an answer says that it
// ended.
//
// Used by salesforce/endpoint.cpp, bulk.cpp and describe.cpp, which judge the answers. Thread rule: the lane's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/http.hpp"
#include "consumer/endpoint.hpp"
#include "consumer/endpoints/salesforce/session.hpp"

namespace muskrat::salesforce {

class Calls {
 public:
  explicit Calls(const Settings& settings) : settings_(settings), session_(shared_session(settings)) {}

  // A client, and a session: that shows that the login is right. No call is used. Of an answer as much is read as the
  // configuration says, or `answer_bytes`.
  void connect(CallGate* gate, Deadline deadline, size_t answer_bytes = 0);

  // What of our own limits a call passes by.
  enum class Way {
    plain,   // none
    begun,   // quota_share: it sees to its end what Salesforce has begun
    ending,  // all: it stops what Salesforce has begun
  };
  struct Reply {
    std::optional<http::Response> response;
    Outcome not_now;  // where there is none: no call may be made now
  };
  // `request` has a path for a URL. Waits for limits until `patience`. Failure as http::Client's, and the login's.
  Reply send(const http::Request& request, size_t records, Deadline patience, Deadline deadline, Way way = Way::plain);
  // The last send() threw, and its request may still be at work at Salesforce.
  bool unanswered() const { return unanswered_; }
  // True when the process is to stop.
  bool sleep(milliseconds span) const;
  Session& session() { return *session_; }

 private:
  api::SharedToken::Fetch fetch();
  std::optional<Outcome> enter(size_t records, Deadline patience, Way way);
  std::string pass_gate(size_t records, Deadline patience, Way way);
  http::Response exchange(http::Request request, const api::Token& token, Deadline deadline);

  const Settings& settings_;
  const std::shared_ptr<Session> session_;
  std::optional<http::Client> client_;
  CallGate* gate_ = nullptr;
  bool unanswered_ = false;
};

}  // namespace muskrat::salesforce

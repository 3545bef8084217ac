// What all lanes of all endpoints with one login share: the session with Salesforce, what the org has used of its daily
// calls, and how many calls it takes at once.
//
// Used by salesforce/calls.cpp. Thread rule: any thread.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/options.hpp"
#include "common/salesforce_answer.hpp"
#include "common/salesforce_login.hpp"

namespace muskrat::salesforce {

class Session {
 public:
  api::SharedToken token;
  Login login;  // through `token` alone

  void note(const Usage& usage);
  // Why no call may be made now by who leaves off at `share_percent` of the daily calls, and for how long; "" = one
  // may. When the rest is over, calls are let through again; what they say decides.
  std::string resting(int64_t share_percent, milliseconds& left);
  // The org's calls are used up: nobody calls for a while.
  void rest(std::string why);
  // Whether they are, as far as was heard.
  bool used_up();

  // A call begins; false: as many as Salesforce takes are under way.
  bool enter();
  void leave();
  // Salesforce had too many at once: from now on half of those under way, and one more after each quiet minute.
  void crowded();

 private:
  std::mutex mutex_;
  Usage usage_;
  SteadyTime noted_{}, rest_until_{};
  std::string why_;
  int under_way_ = 0;
  std::optional<int> most_at_once_;
  SteadyTime more_at_{};
};

std::shared_ptr<Session> shared_session(const Settings& settings);

}  // namespace muskrat::salesforce

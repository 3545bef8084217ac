// Whose failure an HTTP status is: the table of docs/endpoints.md, and what the configuration says otherwise.
//
// Used by the http endpoint. Pure. Thread rule: immutable after loading.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/options.hpp"

namespace muskrat::http_endpoint {

enum class Verdict {
  done,
  retry,  // the event's, may work later: uses an attempt
  dead,   // the event's, for good
  park,   // the endpoint's: uses no attempt
  split,  // too much at once (413): dead when it stands alone
};

class Verdicts {
 public:
  // From dead_on, retry_on, park_on: "404" or "4xx". Appends what is wrong to `problems`.
  Verdicts(const Settings& settings, std::vector<Problem>& problems);
  // `shared_url`: the URL is the same for every event, so that what is not found there is no event's fault.
  Verdict of(int status, bool shared_url) const;

 private:
  struct Rule {
    int from, to;
    Verdict verdict;
  };
  std::vector<Rule> rules_;
};

// "answer 404 Not Found", "answer 301: redirects are not followed; …".
std::string reason_of(int status);

}  // namespace muskrat::http_endpoint

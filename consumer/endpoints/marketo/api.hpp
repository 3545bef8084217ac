// Marketo's REST API as one instance of the endpoint reaches it: an HTTP client, and the token that all lanes share.
//
// Used by the marketo endpoint and by its describe check. A token that Marketo refuses is renewed once for each call,
// and the call made again. Failure where there is no answer. What it does not do: keep rates, judge whose failure it
// is. Thread rule: the lane's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/api_token.hpp"
#include "common/http.hpp"
#include "common/options.hpp"
#include "consumer/endpoints/marketo/answer.hpp"

namespace muskrat::marketo {

struct Reply {
  http::Response response;
  Answer answer;
};

class Api {
 public:
  // `settings` outlive it.
  explicit Api(const Settings& settings);

  // A token shows that address, id and secret are right; no call of the quota is used. Of an answer as much is read as
  // the configuration says, or `answer_bytes`.
  void connect(Deadline deadline, size_t answer_bytes = 0);
  // `path` begins with a slash. `body`: empty for a GET. `may_call` is asked before each attempt; nullopt when it says
  // no. `fields` are the names that may stand in reasons.
  std::optional<Reply> call(const std::string& path, const std::string& body, const std::string& content_type,
                            const std::vector<std::string>& fields, const std::function<bool()>& may_call,
                            Deadline deadline);
  // After a Failure of call(): the request may have got there, and go on.
  bool unanswered() const { return unanswered_; }

 private:
  http::Response send(const http::Request& request, Deadline deadline);
  std::string token(Deadline deadline);
  api::SharedToken::Fetch fetch();

  const Settings& settings_;
  const std::string base_;
  const std::shared_ptr<api::SharedToken> token_;
  std::optional<http::Client> client_;
  bool unanswered_ = false;
};

}  // namespace muskrat::marketo

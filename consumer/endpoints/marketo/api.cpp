#include "consumer/endpoints/marketo/api.hpp"

#include <algorithm>

#include "consumer/endpoints/api/client.hpp"
#include "consumer/endpoints/api/shared.hpp"
#include "consumer/endpoints/marketo/identity.hpp"

namespace muskrat::marketo {

Api::Api(const Settings& settings)
    : settings_(settings),
      base_(base_url(settings)),
      token_(api::shared_by<api::SharedToken>(identity_url(settings) + " " + settings.text("client_id"))) {}

void Api::connect(Deadline deadline, size_t answer_bytes) {
  http::Options options = api::client_of(settings_);
  options.response_bytes = std::max(options.response_bytes, answer_bytes);
  options.once = true;  // a call made again while the first still runs makes duplicates
  client_.emplace(options);
  token(deadline);
}

std::optional<Reply> Api::call(const std::string& path, const std::string& body, const std::string& content_type,
                               const std::vector<std::string>& fields, const std::function<bool()>& may_call,
                               Deadline deadline) {
  unanswered_ = false;
  http::Request request{body.empty() ? "GET" : "POST", base_ + path, {}, body};
  std::string token = this->token(deadline);
  for (bool renewed = false;; renewed = true) {
    if (!may_call()) return std::nullopt;
    request.headers = {{"Accept", "application/json"},
                       {"User-Agent", "muskrat/" MUSKRAT_VERSION},
                       {"Authorization", "Bearer " + token}};
    if (!body.empty()) request.headers.emplace_back("Content-Type", content_type);
    Reply reply{send(request, deadline), {}};
    reply.answer = read_answer(reply.response, fields);
    if (reply.answer.whose != Whose::token || renewed) return reply;
    token = token_->renew(token, fetch(), deadline).text;
  }
}

http::Response Api::send(const http::Request& request, Deadline deadline) {
  unanswered_ = true;
  try {
    http::Response response = client_->send(request, deadline);
    unanswered_ = false;
    return response;
  } catch (const http::NotSent&) {
    unanswered_ = false;
    throw;
  }
}

api::SharedToken::Fetch Api::fetch() {
  return [this](Deadline deadline) { return fetch_token(*client_, settings_, deadline); };
}

std::string Api::token(Deadline deadline) { return token_->get(fetch(), deadline).text; }

}  // namespace muskrat::marketo

#include "consumer/endpoints/marketo/identity.hpp"

#include <algorithm>
#include <charconv>

#include "common/json.hpp"

namespace muskrat::marketo {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw Failure(Remedy::reconnect, "Marketo's identity service: " + what);
}

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

api::Token read_token(const http::Response& response) {
  std::string why;
  const auto document = response.cut ? std::nullopt : json::Document::parse(response.body, why);
  if (!document || document->root().type() != json::Type::object)
    fail("its answer is no JSON object; look at identity_url");
  const auto token = document->root().find("access_token"), life = document->root().find("expires_in");
  if (!token || token->type() != json::Type::string || token->string().empty())
    fail("its answer holds no access_token; look at identity_url");
  if (!http::good_header("Authorization", token->string())) fail("its token holds control characters");
  int64_t seconds = 0;
  if (life && life->type() == json::Type::number) {
    const std::string_view digits = life->number();
    std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  }
  constexpr int64_t most = 86'400;
  return {std::string(token->string()), std::chrono::seconds(std::clamp<int64_t>(seconds, 0, most))};
}

}  // namespace

std::string base_url(const Settings& settings) { return without_slash(settings.text("url")); }

std::string identity_url(const Settings& settings) {
  return settings.has("identity_url") ? without_slash(settings.text("identity_url")) : base_url(settings) + "/identity";
}

api::Token fetch_token(http::Client& client, const Settings& settings, Deadline deadline) {
  http::Request request;
  request.url = identity_url(settings) + "/oauth/token?grant_type=client_credentials&client_id=" +
                http::percent_encode(settings.fresh_secret("client_id")) +
                "&client_secret=" + http::percent_encode(settings.fresh_secret("client_secret"));
  request.headers = {{"Accept", "application/json"}, {"User-Agent", "muskrat/" MUSKRAT_VERSION}};
  const auto response = client.send(request, deadline);
  if (response.status == 401 || response.status == 400)
    fail("answer " + std::to_string(response.status) + ": it does not take client_id and client_secret");
  if (response.status != 200) fail("answer " + std::to_string(response.status) + "; look at identity_url");
  return read_token(response);
}

}  // namespace muskrat::marketo

#include "relay/sources/http_json_client.hpp"

#include <utility>

#include "common/digest.hpp"

namespace muskrat::http_json {
namespace {

constexpr Option own_options[] = {
    {"bearer", OptionType::secret, "", "",
     "The token for Authorization: Bearer; read anew at each run, and when it was refused."},
    {"username", OptionType::text, "", "", "The user for basic authentication."},
    {"password", OptionType::secret, "", "", "The password for basic authentication; read anew as the token is."},
};

std::string secret(const Settings& settings, const char* option) {
  return settings.has(option) ? settings.fresh_secret(option) : "";
}

}  // namespace

OptionTable client_options() {
  static const std::vector<Option> all = joined({own_options, http_calls_options()});
  return all;
}

void check_client(const Settings& settings, std::vector<Problem>& problems) {
  if (settings.has("bearer") && settings.has("username"))
    problems.push_back({settings.where("bearer"), "bearer: there is a username too; give one of the two"});
}

std::string status_text(const http::Response& response) {
  const int status = response.status;
  std::string text = "answered with status " + std::to_string(status);
  if (status == 401) return text + ": the token or password is wrong, or has expired; see bearer, username, password";
  if (status == 403) return text + ": who we are may not read this";
  if (status == 404) return text + ": there is nothing at this url";
  if (status == 400) return text + ": it does not understand the query; see url, the names of the parameters, window";
  if (status >= 300 && status < 400) return text + ", a redirect, which is not followed; name where it leads to";
  return text;
}

Client::Client(const Settings& settings, const Stop& stop)
    : settings_(settings), calls_(settings, stop), authorization_(authorization()) {}

std::string Client::authorization() const {
  if (settings_.has("bearer")) return "Bearer " + secret(settings_, "bearer");
  if (!settings_.has("username")) return "";
  return "Basic " + base64(settings_.text("username") + ":" + secret(settings_, "password"));
}

http::Request Client::request(const std::string& url, const std::string& etag) const {
  http::Request request;
  request.url = url;
  request.headers = {{"Accept", "application/json"}, {"User-Agent", "muskrat/" MUSKRAT_VERSION}};
  if (!authorization_.empty()) request.headers.emplace_back("Authorization", authorization_);
  if (!etag.empty()) request.headers.emplace_back("If-None-Match", etag);
  return request;
}

http::Response Client::once(const std::string& url, const std::string& etag) {
  return calls_.send(request(url, etag), nullptr);
}

http::Response Client::get(const std::string& url, const std::string& etag, Run& run) {
  for (bool token_again = true;; token_again = false) {
    http::Response response = calls_.send(request(url, etag), &run);
    if (response.status == 200 || (response.status == 304 && !etag.empty())) return response;
    if (response.status == 401 && token_again) {
      const std::string before = std::exchange(authorization_, authorization());
      if (authorization_ != before) continue;
    }
    throw Failure(Remedy::reconnect, http::origin_of(url) + " " + status_text(response));
  }
}

}  // namespace muskrat::http_json

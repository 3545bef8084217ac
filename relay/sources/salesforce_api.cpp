#include "relay/sources/salesforce_api.hpp"

#include <array>

#include "common/tame.hpp"

namespace muskrat::salesforce_source {
namespace {

using salesforce::Error;
using salesforce::read_error;

constexpr Option own_options[] = {
    {"api_version", OptionType::text, "65.0", "", "The version of the REST API, from 46.0."},
    {"quota_share", OptionType::integer, "80", "1..100",
     "At so many percent of the org's API calls of 24 hours, used by whomever, the source rests."},
    {"quota_rest", OptionType::duration, "5m", "1s..1h", "How long it rests before it looks again."},
};

struct Advice {
  std::string_view code, todo;
};
constexpr std::array advices{
    Advice{"INVALID_FIELD", "look at select, stamp and where, and at this user's rights on the object's fields"},
    Advice{"INVALID_TYPE", "look at object, and at this user's rights on it"},
    Advice{"MALFORMED_QUERY", "look at where, select and object"},
    Advice{"NOT_FOUND", "look at object and api_version, and at this user's rights"},
    Advice{"API_DISABLED_FOR_ORG", "the user needs the right API Enabled"},
    Advice{"API_CURRENTLY_DISABLED", "the user needs the right API Enabled"},
    Advice{"REQUEST_LIMIT_EXCEEDED", "too many calls of the org run at once"},
    Advice{"INVALID_QUERY_LOCATOR", "the pages of the query came to their end before it did"},
};

std::string text_of(const http::Response& response, const Error& error) {
  std::string text = "Salesforce answered " + std::to_string(response.status);
  if (response.status == 414 || response.status == 431)
    return text + ": the query is too long; name fewer fields in select, or let where be shorter";
  if (error.code.empty()) return text + " without an error of its own; look at login_url and api_version";
  text += " " + tame(error.code) + missing_column(error);
  for (const Advice& advice : advices)
    if (advice.code == error.code) return text + "; " + std::string(advice.todo);
  return text;
}

bool passes(const http::Response& response) {
  if (may_pass(response) || response.status == 406 || response.status == 420) return true;
  const Error error = response.status < 400 ? Error{} : read_error(response.body);
  return error.code == "QUERY_TIMEOUT" || error.code == "TXN_SECURITY_METERING_ERROR";
}

}  // namespace

OptionTable api_options() {
  static const std::vector<Option> all = joined({salesforce::login_options(), own_options, http_calls_options()});
  return all;
}

Api::Api(const Settings& settings, Session& session, const Stop& stop, Run* run)
    : settings_(settings), session_(session), run_(run), calls_(settings, stop, passes) {}

api::Token Api::token() {
  return session_.token.get([this](Deadline deadline) { return session_.login(calls_.client(), settings_, deadline); },
                            calls_.deadline());
}

std::string Api::user() { return token().user; }

json::Document Api::get(const std::string& path) {
  const http::Response response = send(path_of(path));
  if (response.status != 200) {
    const Error error = read_error(response.body);
    throw Refused(text_of(response, error), error.code);
  }
  std::string why;
  auto document = json::Document::parse(response.body, why);
  if (!document || document->root().type() != json::Type::object)
    throw Failure(Remedy::reconnect, "Salesforce answered 200 with what is no JSON object; look at login_url");
  return std::move(*document);
}

std::string Api::path_of(const std::string& path) const {
  if (path.starts_with("/services/data/")) return path;
  return "/services/data/v" + settings_.text("api_version") + path;
}

// Renews the session once; goes on for as long as the day's calls are used up.
http::Response Api::send(const std::string& path) {
  api::Token with = token();
  for (bool renewed = false;;) {
    keep_to_the_share();
    http::Response response = call(path, with);
    if (response.status == 401 && !renewed && !no_session_helps(read_error(response.body))) {
      renewed = true;
      with = session_.token.renew(
          with.text, [this](Deadline deadline) { return session_.login(calls_.client(), settings_, deadline); },
          calls_.deadline());
      continue;
    }
    if (!rest(response)) return response;
  }
}

http::Response Api::call(const std::string& path, const api::Token& token) {
  http::Request request;
  request.url = token.base_url + path;
  request.headers = {{"Accept", "application/json"},
                     {"Authorization", "Bearer " + token.text},
                     {"User-Agent", "muskrat/" MUSKRAT_VERSION}};
  if (path.find("/query") != std::string::npos)
    request.headers.emplace_back("Sforce-Query-Options", "batchSize=" + std::to_string(settings_.integer("page")));
  http::Response response = calls_.send(request, run_);
  note(response);
  return response;
}

void Api::note(const http::Response& response) {
  if (const auto info = response.header("Sforce-Limit-Info"))
    if (const auto usage = salesforce::read_usage(*info)) usage_ = *usage;
}

// Before the next call is made: what the last one said may have changed since, so one is let through after each rest.
void Api::keep_to_the_share() {
  const int64_t share = settings_.integer("quota_share");
  if (run_ == nullptr || usage_.most == 0 || usage_.used * 100 < usage_.most * share) return;
  run_->rest(settings_.duration("quota_rest"),
             "the org has used " + std::to_string(usage_.used) + " of its " + std::to_string(usage_.most) +
                 " API calls of 24 hours, and quota_share is " + std::to_string(share));
}

// True when the call was refused for the day's calls, which were waited for.
bool Api::rest(const http::Response& response) {
  if (run_ == nullptr || response.status != 403 || read_error(response.body).code != "REQUEST_LIMIT_EXCEEDED")
    return false;
  if (usage_.most == 0 || usage_.used < usage_.most)
    return run_->rest(std::chrono::seconds(5), "Salesforce has too many long calls of this org at once");
  return run_->rest(settings_.duration("quota_rest"), "the org's API calls of 24 hours are used up");
}

}  // namespace muskrat::salesforce_source

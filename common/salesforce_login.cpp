#include "common/salesforce_login.hpp"

#include <algorithm>
#include <array>

#include "common/json.hpp"
#include "common/jwt.hpp"
#include "common/tame.hpp"
#include "common/token_file.hpp"

namespace muskrat::salesforce {
namespace {

constexpr int64_t assertion_life_s = 180;

constexpr std::array options{
    Option{"login_url", OptionType::text, "", "",
           "The org's own address, such as https://example.my.salesforce.com; sessions are asked for there.", true},
    Option{"login", OptionType::choice, "jwt", "jwt|client_credentials|refresh_token",
           "How to log in: as a user, with an assertion signed by the private key whose certificate the app has; as "
           "the app's own user, with its secret; or with a refresh token that a user has allowed."},
    Option{"client_id", OptionType::text, "", "", "The app's consumer key.", true},
    Option{"client_secret", OptionType::secret, "", "",
           "The app's consumer secret (client_credentials; refresh_token where the app asks for it); read anew at each "
           "login."},
    Option{"username", OptionType::text, "", "", "The user to log in as (jwt)."},
    Option{"private_key", OptionType::secret, "", "",
           "The RSA private key in PEM (jwt), such as ${file:/etc/muskrat/salesforce.key}; read anew at each login."},
    Option{"audience", OptionType::text, "https://login.salesforce.com", "",
           "Who the assertion is for (jwt); of a sandbox https://test.salesforce.com."},
    Option{
        "refresh_token_file", OptionType::text, "", "",
        "The file with the refresh token (refresh_token), to be written by this process: where Salesforce gives out a "
        "new one with each login, it replaces the old one there. A relative path counts from $STATE_DIRECTORY."},
    Option{"session_timeout", OptionType::duration, "2h", "15m..24h",
           "The org's session timeout; a session is renewed a minute before its end."},
};

std::string form(std::initializer_list<std::pair<std::string_view, std::string>> members) {
  std::string text;
  for (const auto& [name, value] : members)
    text += (text.empty() ? "" : "&") + std::string(name) + "=" + http::percent_encode(value);
  return text;
}

struct Advice {
  std::string_view says, todo;
};

// In what Salesforce says with an error, and what to do about it. The first that fits counts.
constexpr std::array advices{
    Advice{"hasn't approved this consumer",
           "have an administrator allow the app for this user's profile or permission set (admin approved users are "
           "pre-authorized)"},
    Advice{"expired authorization code",
           "the assertion or its certificate is out of its time: look at this machine's clock, and at the date of the "
           "certificate that the app holds"},
    Advice{"no client credentials user enabled", "choose a user in the app's client credentials flow (Run As)"},
    Advice{"audience is invalid", "audience is https://login.salesforce.com, of a sandbox https://test.salesforce.com"},
    Advice{"invalid assertion", "private_key does not belong to the certificate that the app holds"},
    Advice{"inactive", "the user or the org is not active"},
    Advice{
        "expired access/refresh token",
        "the refresh token was used, withdrawn or has expired: have a user allow the app anew, and put the new token "
        "into refresh_token_file"},
    Advice{"invalid_client_id", "client_id is not known there; look at it, and at login_url"},
    Advice{"invalid_client", "client_id or client_secret is wrong, or the certificate that the app holds has expired"},
    Advice{"invalid_app_access", "the user may not use the app: assign it by profile or permission set"},
    Advice{"unsupported_grant_type", "the app does not allow this login; enable its OAuth flow"},
    Advice{"rate exceeded", "too many logins; it goes on by itself"},
    Advice{"invalid_grant",
           "look at username, at the app's certificate and its date, and whether the app is allowed for the user"},
};

std::string text_of(const json::Value& root, std::string_view name) {
  if (root.type() != json::Type::object) return "";
  const auto value = root.find(name);
  return value && value->type() == json::Type::string ? std::string(value->string()) : "";
}

[[noreturn]] void refused(const std::string& what) {
  throw Failure(Remedy::reconnect, "the login to Salesforce " + what);
}

std::string refusal(int status, const json::Value& root) {
  const std::string error = text_of(root, "error"), description = text_of(root, "error_description");
  const std::string answer = "answered " + std::to_string(status);
  if (error.empty()) return answer + " and no token";
  std::string said = tame(error) + (description.empty() ? "" : " (" + tame(description) + ")");
  for (const Advice& advice : advices)
    if (said.find(advice.says) != std::string::npos) return "is refused: " + said + "; " + std::string(advice.todo);
  return "is refused: " + said;
}

// Of "https://login.salesforce.com/id/00D…/005…" the last part.
std::string user_of(const std::string& id) { return id.substr(id.rfind('/') + 1); }

bool near(std::string_view url) { return url.starts_with("http://127.0.0.1:") || url.starts_with("http://localhost:"); }

}  // namespace

OptionTable login_options() { return options; }

namespace {

// Which options belong to which login; `needs` of it alone.
struct Way {
  std::string_view login, option;
  bool needs;
};
constexpr std::array ways{
    Way{"jwt", "username", true},
    Way{"jwt", "private_key", true},
    Way{"client_credentials", "client_secret", true},
    Way{"refresh_token", "client_secret", false},
    Way{"refresh_token", "refresh_token_file", true},
};

}  // namespace

void check_login(const Settings& settings, std::vector<Problem>& problems) {
  const auto wrong = [&](std::string_view name, const std::string& what) {
    problems.push_back({settings.where(name), std::string(name) + ": " + what});
  };
  const std::string& login = settings.text("login");
  const std::string how = "login: " + login;
  for (const std::string_view name : {"username", "private_key", "client_secret", "refresh_token_file"}) {
    const auto way = std::find_if(ways.begin(), ways.end(),
                                  [&](const Way& one) { return one.login == login && one.option == name; });
    if (way == ways.end() && settings.given(name)) wrong(name, how + " does not use it");
    if (way != ways.end() && way->needs && !settings.has(name)) wrong(name, how + " needs it");
  }
  if (login == "jwt" && settings.has("private_key"))
    if (const std::string what = wrong_with_private_key(settings.text("private_key")); !what.empty())
      wrong("private_key", "what is given " + what);
  const std::string& url = settings.text("login_url");
  if (!url.starts_with("https://") && !near(url)) wrong("login_url", "it does not begin with https://");
  if (login == "client_credentials" && (url.find("//login.salesforce.com") != std::string::npos ||
                                        url.find("//test.salesforce.com") != std::string::npos))
    wrong("login_url", how + " needs the org's own address (…my.salesforce.com)");
}

std::string login_form(const Settings& settings, int64_t now_s, const std::string& refresh_token) {
  const std::string& login = settings.text("login");
  const std::string secret = settings.has("client_secret") ? settings.fresh_secret("client_secret") : "";
  if (login == "client_credentials")
    return form({{"grant_type", login}, {"client_id", settings.text("client_id")}, {"client_secret", secret}});
  if (login == "refresh_token")
    return form({{"grant_type", login}, {"client_id", settings.text("client_id")}, {"refresh_token", refresh_token}}) +
           (secret.empty() ? "" : "&" + form({{"client_secret", secret}}));
  const std::string claims = json::Object()
                                 .add("iss", settings.text("client_id"))
                                 .add("sub", settings.text("username"))
                                 .add("aud", settings.text("audience"))
                                 .add("exp", now_s + assertion_life_s)
                                 .text();
  return form({{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"},
               {"assertion", signed_jwt(settings.fresh_secret("private_key"), claims)}});
}

api::Token read_login(const http::Response& response, const Settings& settings) {
  std::string why;
  const auto document = json::Document::parse(response.body, why);
  if (!document)
    refused("answered " + std::to_string(response.status) + " with what is no JSON; is login_url Salesforce's?");
  if (response.status != 200) refused(refusal(response.status, document->root()));
  api::Token login{text_of(document->root(), "access_token"), settings.duration("session_timeout"),
                   text_of(document->root(), "instance_url"), user_of(text_of(document->root(), "id"))};
  auto& [token, life, base_url, user] = login;
  if (token.empty()) refused("answered 200 without an access_token; is login_url Salesforce's?");
  if (!http::good_header("Authorization", token)) refused("answered with an access_token that no header can hold");
  while (base_url.ends_with('/')) base_url.pop_back();
  if (!base_url.starts_with("https://") && !near(base_url))
    refused("answered 200 without an instance_url that begins with https://");
  return login;
}

std::string next_refresh_token(const http::Response& response) {
  std::string why;
  const auto document = json::Document::parse(response.body, why);
  return document && response.status == 200 ? text_of(document->root(), "refresh_token") : "";
}

namespace {

http::Response ask(http::Client& client, const Settings& settings, const std::string& refresh_token,
                   Deadline deadline) {
  std::string url = settings.text("login_url");
  while (url.ends_with('/')) url.pop_back();
  const http::Request request{"POST",
                              url + "/services/oauth2/token",
                              {{"Content-Type", "application/x-www-form-urlencoded"},
                               {"Accept", "application/json"},
                               {"User-Agent", "muskrat/" MUSKRAT_VERSION}},
                              login_form(settings, wall_clock_us() / 1'000'000, refresh_token)};
  return client.send(request, deadline);
}

}  // namespace

api::Token Login::operator()(http::Client& client, const Settings& settings, Deadline deadline) {
  if (settings.text("login") == "refresh_token") return refreshed(client, settings, deadline);
  return read_login(ask(client, settings, "", deadline), settings);
}

// A new refresh token has ended the old one: it is kept before anything else, and until it is kept nobody works with
// the session, so that the trouble is seen while this process still knows it.
api::Token Login::refreshed(http::Client& client, const Settings& settings, Deadline deadline) {
  TokenFile file(settings.text("refresh_token_file"), deadline);
  if (!unkept_.empty()) file.replace(unkept_);
  unkept_.clear();
  const http::Response response = ask(client, settings, file.token(), deadline);
  const std::string next = next_refresh_token(response);
  if (!next.empty() && next != file.token()) {
    unkept_ = next;
    file.replace(next);
    unkept_.clear();
  }
  return read_login(response, settings);
}

}  // namespace muskrat::salesforce

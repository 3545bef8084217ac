#include "relay/sources/braintree_gateway.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <utility>

#include "common/digest.hpp"
#include "relay/sources/braintree_records.hpp"

namespace muskrat::braintree {
namespace {

constexpr int most_timeouts = 5;

constexpr Option own_options[] = {
    {"merchant", OptionType::text, "", "", "The merchant's id.", true},
    {"public_key", OptionType::text, "", "", "The public key of the API keys.", true},
    {"private_key", OptionType::secret, "", "",
     "The private key of the API keys; both are read anew at each run, and when they were refused.", true},
    {"environment", OptionType::choice, "production", "production|sandbox", "Which of Braintree's gateways is asked."},
    {"gateway", OptionType::text, "", "", "The gateway's address, in place of the environment's."},
};

constexpr std::array resources{
    Resource{"transactions", "credit-card-transactions", "transaction", "Transaction", 20'000},
    Resource{"customers", "customers", "customer", "Customer", 10'000},
    Resource{"subscriptions", "subscriptions", "subscription", "Subscription", 10'000},
};

std::string base_of(const Settings& settings) {
  std::string base = settings.text("gateway");
  while (base.ends_with('/')) base.pop_back();
  if (!base.empty()) return base;
  return settings.text("environment") == "sandbox" ? "https://api.sandbox.braintreegateway.com"
                                                   : "https://api.braintreegateway.com";
}

std::string status_text(int status) {
  std::string text = "Braintree answered " + std::to_string(status);
  if (status == 401) return text + ": the keys are wrong, or are not this merchant's; see merchant, public_key";
  if (status == 403) return text + ": these keys may not search";
  if (status == 404) return text + ": there is no such merchant or address; see merchant and gateway";
  if (status == 422) return text + ": it does not take what is searched for";
  if (status == 426) return text + ": it no longer serves this version of its API";
  if (status == 429) return text + ": too many calls";
  return text;
}

std::string ids_text(const std::vector<std::string>& ids) {
  std::string text = R"(<ids type="array">)";
  for (const std::string& id : ids) text += "<item>" + xml::escape(id) + "</item>";
  return text + "</ids>";
}

}  // namespace

OptionTable gateway_options() {
  static const std::vector<Option> all = joined({own_options, http_calls_options()});
  return all;
}

void check_gateway(const Settings& settings, std::vector<Problem>& problems) {
  const std::string& merchant = settings.text("merchant");
  if (http::percent_encode(merchant) != merchant)
    problems.push_back({settings.where("merchant"), "merchant: an id has letters, digits, - and _"});
  if (http::origin_of(base_of(settings)).empty())
    problems.push_back({settings.where("gateway"), "gateway: it is no http:// or https:// URL"});
}

const Resource& resource_of(const Settings& settings) {
  return *std::find_if(resources.begin(), resources.end(),
                       [&](const Resource& each) { return each.name == settings.text("object"); });
}

Gateway::Gateway(const Settings& settings, const Stop& stop, Run* run)
    : settings_(settings),
      resource_(resource_of(settings)),
      run_(run),
      calls_(settings, stop),
      base_(base_of(settings) + "/merchants/" + settings.text("merchant") + "/" + std::string(resource_.name) + "/"),
      authorization_(authorization()) {}

std::string Gateway::authorization() const {
  return "Basic " + base64(settings_.fresh_secret("public_key") + ":" + settings_.fresh_secret("private_key"));
}

Gateway::Found Gateway::find(const std::string& criteria) {
  const xml::Element results = search("advanced_search_ids", criteria);
  const xml::Element* ids = results.child("ids");
  if (results.name != "search-results" || ids == nullptr)
    throw Failure(Remedy::reconnect, "Braintree answered a search with what is no list of ids");
  Found found;
  for (const xml::Element& item : ids->children) found.ids.push_back(item.text);
  const std::string_view size = text_in(results, "page-size");
  std::from_chars(size.data(), size.data() + size.size(), found.page_size);
  if (found.page_size == 0) found.page_size = 1;
  return found;
}

std::vector<xml::Element> Gateway::records(const std::vector<std::string>& ids) {
  xml::Element page = search("advanced_search", ids_text(ids));
  if (page.name != resource_.page)
    throw Failure(Remedy::reconnect,
                  "Braintree answered a search with what is no page of " + std::string(resource_.name));
  std::vector<xml::Element> records;
  std::set<std::string, std::less<>> there;
  for (xml::Element& child : page.children) {
    if (child.name != resource_.item) continue;
    there.emplace(text_in(child, "id"));
    records.push_back(std::move(child));
  }
  for (const std::string& id : ids)
    if (!there.contains(id))
      if (auto record = one(id)) records.push_back(std::move(*record));
  return records;
}

std::optional<xml::Element> Gateway::one(const std::string& id) {
  const http::Response response = call("GET", http::percent_encode(id), "");
  if (response.status == 404) return std::nullopt;
  if (response.status != 200) refuse(response);
  return read(response);
}

// A search that took the gateway too long is answered with 200 and a document that says so.
xml::Element Gateway::search(const char* step, const std::string& criteria) {
  const std::string body = R"(<?xml version="1.0" encoding="UTF-8"?><search>)" + criteria + "</search>";
  for (int timeouts = 1;; ++timeouts) {
    const http::Response response = call("POST", step, body);
    if (response.status != 200) refuse(response);
    xml::Element root = read(response);
    if (root.name != "search-timeout") return root;
    if (run_ == nullptr || timeouts == most_timeouts)
      throw Failure(Remedy::reconnect, "Braintree gave up a search for its length");
    run_->rest(std::chrono::seconds(timeouts), "Braintree gave up a search for its length");
  }
}

http::Response Gateway::call(const char* method, const std::string& path, const std::string& body) {
  for (bool keys_again = true;; keys_again = false) {
    http::Request request{method, base_ + path, {{"Accept", "application/xml"}}, body};
    request.headers.emplace_back("Authorization", authorization_);
    request.headers.emplace_back("User-Agent", "muskrat/" MUSKRAT_VERSION);
    request.headers.emplace_back("X-ApiVersion", "6");
    if (!body.empty()) request.headers.emplace_back("Content-Type", "application/xml");
    http::Response response = calls_.send(request, run_);
    if (response.status != 401 || !keys_again) return response;
    const std::string before = std::exchange(authorization_, authorization());
    if (authorization_ == before) return response;
  }
}

xml::Element Gateway::read(const http::Response& response) const {
  std::string why;
  auto root = xml::parse(response.body, why);
  if (!root) throw Failure(Remedy::reconnect, "Braintree answered 200 with what is no good XML: " + why);
  return std::move(*root);
}

void Gateway::refuse(const http::Response& response) const {
  throw Failure(Remedy::reconnect, status_text(response.status));
}

}  // namespace muskrat::braintree

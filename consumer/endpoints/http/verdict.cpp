#include "consumer/endpoints/http/verdict.hpp"

#include <algorithm>
#include <map>

namespace muskrat::http_endpoint {
namespace {

// "404" → 404..404, "4xx" → 400..499
std::optional<std::pair<int, int>> range_of(const std::string& text) {
  if (text.size() != 3 || text[0] < '1' || text[0] > '5') return std::nullopt;
  const int hundred = (text[0] - '0') * 100;
  if (text.substr(1) == "xx") return std::pair(hundred, hundred + 99);
  if (text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const int status = std::stoi(text);
  return std::pair(status, status);
}

std::string_view phrase_of(int status) {
  static const std::map<int, std::string_view> phrases{{400, "Bad Request"},
                                                       {401, "Unauthorized"},
                                                       {403, "Forbidden"},
                                                       {404, "Not Found"},
                                                       {405, "Method Not Allowed"},
                                                       {407, "Proxy Authentication Required"},
                                                       {408, "Request Timeout"},
                                                       {409, "Conflict"},
                                                       {410, "Gone"},
                                                       {413, "Content Too Large"},
                                                       {415, "Unsupported Media Type"},
                                                       {422, "Unprocessable Content"},
                                                       {425, "Too Early"},
                                                       {429, "Too Many Requests"},
                                                       {500, "Internal Server Error"},
                                                       {502, "Bad Gateway"},
                                                       {503, "Service Unavailable"},
                                                       {504, "Gateway Timeout"}};
  const auto found = phrases.find(status);
  return found == phrases.end() ? std::string_view() : found->second;
}

}  // namespace

Verdicts::Verdicts(const Settings& settings, std::vector<Problem>& problems) {
  for (const auto& [name, verdict] : {std::pair("dead_on", Verdict::dead), std::pair("retry_on", Verdict::retry),
                                      std::pair("park_on", Verdict::park)}) {
    for (const std::string& text : settings.texts(name)) {
      if (const auto range = range_of(text)) {
        rules_.push_back({range->first, range->second, verdict});
      } else {
        problems.push_back({settings.where(name),
                            std::string(name) + ": \"" + text + "\" is no HTTP status; it takes such as 404 or 4xx"});
      }
    }
  }
  // the narrower rule first: 404 beats 4xx
  std::stable_sort(rules_.begin(), rules_.end(),
                   [](const Rule& a, const Rule& b) { return a.to - a.from < b.to - b.from; });
}

Verdict Verdicts::of(int status, bool shared_url) const {
  for (const Rule& rule : rules_)
    if (status >= rule.from && status <= rule.to) return rule.verdict;
  if (status >= 200 && status < 300) return Verdict::done;
  if (status < 400) return Verdict::park;  // a redirect, or what no server should say
  switch (status) {
    case 408:
    case 409:
    case 425:
      return Verdict::retry;
    case 401:
    case 403:
    case 405:
    case 407:
    case 429:
    case 502:
    case 503:
    case 504:
      return Verdict::park;
    case 404:
    case 410:
      return shared_url ? Verdict::park : Verdict::dead;
    case 413:
      return Verdict::split;
    default:
      return status < 500 ? Verdict::dead : Verdict::retry;
  }
}

std::string reason_of(int status) {
  std::string text = "answer " + std::to_string(status);
  if (status < 400) return text + ": redirects are not followed; put the address where it is now into url";
  if (const auto phrase = phrase_of(status); !phrase.empty()) text += " " + std::string(phrase);
  if (status == 401 || status == 403 || status == 407) text += "; look at the endpoint's credentials and rights";
  return text;
}

}  // namespace muskrat::http_endpoint

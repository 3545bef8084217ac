#include "relay/sources/http_json_paging.hpp"

#include <charconv>

#include "common/digest.hpp"
#include "common/failure.hpp"

namespace muskrat::http_json {
namespace {

constexpr Option options[] = {
    {"pagination", OptionType::choice, "none", "none|cursor|link|offset|page",
     "How a further page is asked for: a cursor from the body, the Link header (RFC 8288), the number of records "
     "before it, or its own number."},
    {"next", OptionType::text, "next_cursor", "",
     "With pagination cursor: the path of the next page's cursor in the body; null or absent on the last one."},
    {"parameter", OptionType::text, "", "",
     "The query parameter of the cursor, offset or page. Default: cursor, offset or page."},
    {"first_page", OptionType::integer, "1", "0..1", "With pagination page: the number of the first one."},
    {"total", OptionType::text, "", "",
     "With pagination offset or page: the path of the number of records, or of pages. Without it, a page without "
     "records is the last."},
    {"limit", OptionType::integer, "500", "1..100000",
     "How many records a page is to have at most; asked for unless pagination is none."},
    {"limit_parameter", OptionType::text, "limit", "", "The query parameter of limit; \"\" sends none."},
    {"max_pages", OptionType::integer, "1000", "1..1000000", "A window of more pages fails the run."},
};

[[noreturn]] void refuse(const std::string& why) { throw Failure(Remedy::reconnect, why); }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The end of a part that ends at one of `ends`, outside of quotes.
size_t end_of(std::string_view text, std::string_view ends) {
  bool quoted = false;
  for (size_t at = 0; at < text.size(); ++at) {
    if (quoted && text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      quoted = !quoted;
    } else if (!quoted && ends.find(text[at]) != ends.npos) {
      return at;
    }
  }
  return text.size();
}

bool same_word(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if ((a[i] | 0x20) != (b[i] | 0x20)) return false;
  return true;
}

// A parameter `rel=next`, `rel="next"` or `rel="prev next"`.
bool says_next(std::string_view parameter) {
  const size_t equals = std::min(parameter.find('='), parameter.size());
  if (equals == parameter.size() || !same_word(trimmed(parameter.substr(0, equals)), "rel")) return false;
  std::string_view words = trimmed(parameter.substr(equals + 1));
  if (words.size() >= 2 && words.front() == '"') words = words.substr(1, words.size() - 2);
  while (!words.empty()) {
    const size_t space = std::min(words.find(' '), words.size());
    if (same_word(words.substr(0, space), "next")) return true;
    words.remove_prefix(std::min(space + 1, words.size()));
  }
  return false;
}

}  // namespace

OptionTable paging_options() { return options; }

std::string with_parameter(const std::string& url, const std::string& name, const std::string& value) {
  if (name.empty()) return url;
  const char* joint = url.find('?') == url.npos ? "?" : url.back() == '?' || url.back() == '&' ? "" : "&";
  return url + joint + http::percent_encode(name) + "=" + http::percent_encode(value);
}

std::optional<std::string> next_link(std::string_view header) {
  while (!header.empty()) {
    header = trimmed(header);
    const size_t close = header.find('>');
    if (!header.starts_with('<') || close == header.npos) return std::nullopt;
    const std::string_view target = header.substr(1, close - 1);
    header.remove_prefix(close + 1);
    const size_t end = end_of(header, ",");
    std::string_view parameters = header.substr(0, end);
    while (!parameters.empty()) {
      parameters.remove_prefix(1);  // the ; before it
      const size_t part = end_of(parameters, ";");
      if (says_next(trimmed(parameters.substr(0, part)))) return std::string(target);
      parameters.remove_prefix(part);
    }
    header.remove_prefix(std::min(end + 1, header.size()));
  }
  return std::nullopt;
}

Paging::Paging(const Settings& settings, std::string first)
    : settings_(settings), first_(std::move(first)), kind_(settings.text("pagination")) {
  if (kind_ != "none")
    first_ = with_parameter(first_, settings.text("limit_parameter"), std::to_string(settings.integer("limit")));
  url_ = first_;
  if (kind_ != "page") return;
  page_ = settings.integer("first_page");
  url_ = with_parameter(first_, parameter(), std::to_string(page_));
}

std::string Paging::parameter() const { return settings_.has("parameter") ? settings_.text("parameter") : kind_; }

bool Paging::advance(const http::Response& response, const json::Value& body, const json::Value& records) {
  const std::string hash = records.size() == 0 ? "" : sha256(records.dump());
  if (!hash.empty() && hash == last_) refuse("a page brings once more the records of the page before it, not its own");
  last_ = hash;
  if (kind_ == "none") return false;
  if (kind_ == "link") return by_link(response);
  if (kind_ == "cursor") return by_cursor(body);
  return by_count(body, records.size());
}

bool Paging::go_to(const std::string& mark, const std::string& url) {
  if (!seen_.insert(mark).second) refuse("a page names as the next one a page that was read already");
  if (static_cast<int64_t>(seen_.size()) >= settings_.integer("max_pages"))
    refuse("a window has more than max_pages pages (" + std::to_string(settings_.integer("max_pages")) +
           "); give a shorter window, or more pages");
  url_ = url;
  ++page_;
  return true;
}

bool Paging::by_link(const http::Response& response) {
  std::optional<std::string> link;
  for (const auto& [name, value] : response.headers)
    if (!link && same_word(name, "link")) link = next_link(value);
  if (!link) return false;
  const std::string next = http::resolve(url_, *link);
  if (next.empty()) refuse("the Link header names a next page that is no URL");
  if (http::origin_of(next) != http::origin_of(first_))
    refuse("the Link header names a next page at another origin, which gets no credentials of ours");
  return go_to(next, next);
}

bool Paging::by_cursor(const json::Value& body) {
  const auto next = body.path(settings_.text("next"));
  const auto text = next ? next->scalar_text() : std::nullopt;
  if (!text || text->empty()) return false;
  return go_to(*text, with_parameter(first_, parameter(), *text));
}

bool Paging::counted_out(const json::Value& body, int64_t passed) const {
  const std::string& path = settings_.text("total");
  if (path.empty()) return false;
  const auto total = body.path(path);
  int64_t number = 0;
  if (!total || total->type() != json::Type::number) refuse("total: the answer has no number at " + path);
  const std::string_view digits = total->number();
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) refuse("total: no whole number is at " + path);
  return passed >= number;
}

bool Paging::by_count(const json::Value& body, size_t records) {
  passed_ += static_cast<int64_t>(records);
  const bool offset = kind_ == "offset";
  const int64_t pages = page_ - (offset ? 0 : settings_.integer("first_page")) + 1;
  if (records == 0 || counted_out(body, offset ? passed_ : pages)) return false;
  const std::string next = std::to_string(offset ? passed_ : page_ + 1);
  return go_to(next, with_parameter(first_, parameter(), next));
}

}  // namespace muskrat::http_json

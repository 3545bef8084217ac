#include "consumer/endpoints/http/requests.hpp"

#include <algorithm>

#include "common/digest.hpp"
#include "consumer/endpoints/event_line.hpp"
#include "consumer/endpoints/http/signature.hpp"

namespace muskrat::http_endpoint {
namespace {

Template parsed(const std::string& text) {
  std::string why;
  auto made = Template::parse(text, why);
  if (!made) throw Failure(Remedy::stop, why);
  return std::move(*made);
}

Batch batch_of(const std::string& word) {
  return word == "array" ? Batch::array : word == "lines" ? Batch::lines : Batch::single;
}

// One event's is its message id; a batch's is the same whenever the same events travel together.
std::string idempotency_key(std::span<const Record* const> records) {
  if (records.size() == 1) return records.front()->event->message_id;
  std::string ids;
  for (const Record* record : records) ids += record->event->message_id + "\n";
  return "batch-" + hex(sha256(ids)).substr(0, 32);
}

// As JSON it has no control character but one, which a column's name may have.
std::string omitted_header(const Event& event) {
  std::string text = omitted_json(event);
  for (size_t at = text.find('\x7f'); at != std::string::npos; at = text.find('\x7f', at))
    text.replace(at, 1, "\\u007f");
  return text;
}

bool good_method(const std::string& method) {
  return !method.empty() && method.size() <= 20 &&
         method.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos;
}

bool names_header(const Settings& settings, std::string_view name) {
  const auto& headers = settings.records("headers");
  return std::any_of(headers.begin(), headers.end(),
                     [&](const Settings& header) { return http::same_name(header.text("name"), name); });
}

// Why nobody else may say this header; "" when they may.
std::string taken(const Settings& settings, const std::string& name) {
  const auto is = [&](const auto&... names) { return (http::same_name(name, names) || ...); };
  if (is("Content-Length", "Transfer-Encoding", "Connection")) return "it is made from the request itself";
  if (is(settings.text("idempotency_header"))) return "idempotency_header sends it";
  if (settings.has("signing_secret") && is("webhook-id", "webhook-timestamp", "webhook-signature"))
    return "signing_secret sends it";
  const bool facts = settings.text("batch") == "single" && settings.text("payload") == "body";
  if (facts && is("X-Muskrat-Routing-Key", "X-Muskrat-Op", "X-Muskrat-Epoch", "X-Muskrat-Seq"))
    return "it is sent with every event already";
  if (facts && is("X-Muskrat-Omitted")) return "it says what capture left out of the body";
  return "";
}

void check_headers(const Settings& settings, std::vector<Problem>& problems) {
  for (const Settings& header : settings.records("headers")) {
    std::string why;
    const std::string& name = header.text("name");
    if (!http::good_header(name, ""))
      problems.push_back({header.where("name"), "headers: \"" + name + "\" is no header's name"});
    if (const std::string whose = taken(settings, name); !whose.empty())
      problems.push_back({header.where("name"), "headers: " + name + " cannot be set here: " + whose});
    if (!Template::parse(header.text("value"), why))
      problems.push_back({header.where("value"), "headers." + name + ": " + why});
    if (!http::good_header("x", header.text("value")))
      problems.push_back({header.where("value"), "headers." + name + ": control characters"});
  }
}

}  // namespace

Requests::Requests(const Settings& settings)
    : mapping_(settings),
      batch_(batch_of(settings.text("batch"))),
      whole_event_(settings.text("payload") == "event"),
      method_(settings.text("method")),
      delete_method_(settings.has("delete_method") ? settings.text("delete_method") : method_),
      idempotency_header_(settings.text("idempotency_header")),
      url_(parsed(settings.fresh_secret("url"))),
      fixed_(fixed_headers(settings)) {
  for (const Settings& header : settings.records("headers"))
    headers_.emplace_back(header.text("name"), parsed(header.fresh_secret("value")));
  for (const char* name : {"signing_secret", "signing_secret_old"}) {
    if (!settings.has(name)) continue;
    const auto key = signing_key(settings.fresh_secret(name));
    if (!key) throw Failure(Remedy::reconnect, std::string(name) + " begins with whsec_ and is no base64 after it");
    signing_keys_.push_back(*key);
  }
}

// Without those that `headers` says otherwise.
http::Headers Requests::fixed_headers(const Settings& settings) const {
  http::Headers headers{{"Content-Type", batch_ == Batch::lines ? "application/x-ndjson" : "application/json"},
                        {"User-Agent", "muskrat/" MUSKRAT_VERSION}};
  if (settings.has("bearer")) headers.emplace_back("Authorization", "Bearer " + settings.fresh_secret("bearer"));
  if (settings.has("username"))
    headers.emplace_back("Authorization",
                         "Basic " + base64(settings.text("username") + ":" +
                                           (settings.has("password") ? settings.fresh_secret("password") : "")));
  std::erase_if(headers, [&](const auto& header) { return names_header(settings, header.first); });
  return headers;
}

// Method, URL and headers; templates see the event's own body and not what the mapping makes of it.
bool Requests::address(const Event& event, const json::Value& body, Record& record, std::string& why) const {
  record.method = event.op == Op::remove ? delete_method_ : method_;
  auto url = url_.fill(event, body, true, why);
  if (!url) return why.insert(0, "url: "), false;
  record.url = std::move(*url);
  for (const auto& [name, value] : headers_) {
    auto text = value.fill(event, body, false, why);
    if (text && !http::good_header(name, *text)) why = "a control character in what the event puts there", text.reset();
    if (!text) return why.insert(0, "header " + name + ": "), false;
    record.headers.emplace_back(name, std::move(*text));
  }
  return true;
}

std::optional<Record> Requests::record(const Event& event, Outcome& outcome) const {
  std::string why;
  const auto body = json::Document::parse(event.body, why);
  if (!body) return outcome = Outcome::dead("the body is not JSON: " + why), std::nullopt;
  Mapped mapped = mapping_.apply(event, body->root());
  if (mapped.state == Mapped::State::skipped) return outcome = Outcome::skipped(mapped.text), std::nullopt;
  if (mapped.state == Mapped::State::failed) return outcome = Outcome::dead(mapped.text), std::nullopt;
  Record record;
  record.event = &event;
  if (!address(event, body->root(), record, why)) return outcome = Outcome::dead(why), std::nullopt;
  record.payload = whole_event_             ? event_line(event, mapped.text)
                   : batch_ == Batch::lines ? one_line(mapped.text)
                                            : std::move(mapped.text);
  return record;
}

std::string Requests::body_of(std::span<const Record* const> records) const {
  if (batch_ == Batch::single) return records.front()->method == "DELETE" ? "" : records.front()->payload;
  std::string body;
  for (const Record* record : records) {
    if (batch_ == Batch::array) body += body.empty() ? '[' : ',';
    body += record->payload;
    if (batch_ == Batch::lines) body += '\n';
  }
  return batch_ == Batch::array ? body + "]" : body;
}

http::Request Requests::request(std::span<const Record* const> records, int64_t now_s) const {
  const Record& first = *records.front();
  http::Request request{first.method, first.url, fixed_, body_of(records)};
  request.headers.insert(request.headers.end(), first.headers.begin(), first.headers.end());
  const std::string id = idempotency_key(records);
  if (!idempotency_header_.empty()) request.headers.emplace_back(idempotency_header_, id);
  if (batch_ == Batch::single && !whole_event_) {
    request.headers.emplace_back("X-Muskrat-Routing-Key", first.event->routing_key);
    request.headers.emplace_back("X-Muskrat-Op", std::string(op_name(first.event->op)));
    request.headers.emplace_back("X-Muskrat-Epoch", std::to_string(first.event->epoch));
    request.headers.emplace_back("X-Muskrat-Seq", std::to_string(first.event->seq));
    if (!first.event->omitted.empty()) request.headers.emplace_back("X-Muskrat-Omitted", omitted_header(*first.event));
  }
  if (signing_keys_.empty()) return request;
  request.headers.emplace_back("webhook-id", id);
  request.headers.emplace_back("webhook-timestamp", std::to_string(now_s));
  request.headers.emplace_back("webhook-signature", signature(signing_keys_, id, now_s, request.body));
  return request;
}

void check_requests(const Settings& settings, std::vector<Problem>& problems) {
  const auto wrong = [&](const char* name, const std::string& what, bool error = true) {
    problems.push_back({settings.where(name), std::string(name) + ": " + what, error});
  };
  const std::string& url = settings.text("url");
  std::string why;
  if (!Template::parse(url, why)) wrong("url", why);
  if (!url.starts_with("https://") && !url.starts_with("http://"))
    wrong("url", "it begins with neither https:// nor http://");
  for (const char* name : {"method", "delete_method"})
    if (settings.has(name) && !good_method(settings.text(name))) wrong(name, "expected a method such as POST or PUT");
  check_headers(settings, problems);
  if (const std::string& name = settings.text("idempotency_header"); !name.empty() && !http::good_header(name, ""))
    wrong("idempotency_header", "\"" + name + "\" is no header's name");
  if (settings.has("bearer") && settings.has("username")) wrong("bearer", "there is a username too; use one of them");
  for (const char* name : {"bearer", "username"})
    if (settings.has(name) && names_header(settings, "Authorization"))
      wrong(name, "it is not sent, for headers holds an Authorization", false);
  if (settings.has("password") && !settings.has("username")) wrong("password", "there is no username to go with it");
  for (const char* name : {"signing_secret", "signing_secret_old"})
    if (settings.has(name) && !signing_key(settings.text(name)))
      wrong(name, "it begins with whsec_ and is no base64 after it");
  const bool secrets = settings.has("bearer") || settings.has("username");
  const std::string_view rest = std::string_view(url).substr(std::min(url.size(), size_t{7}));
  const bool near = rest.starts_with("localhost") || rest.starts_with("127.") || rest.starts_with("[::1]");
  if (url.starts_with("http://") && secrets && !near)
    wrong("url", "credentials travel in clear text; use https://", false);
  if (settings.text("batch") == "single" && settings.text("results") == "expected")
    wrong("results", "a single event's result is the status of the answer; this is for batch: array or lines");
}

}  // namespace muskrat::http_endpoint

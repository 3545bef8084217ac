#include "relay/sources/http_json.hpp"

#include <charconv>

#include "common/clock.hpp"
#include "common/json.hpp"
#include "common/utc_text.hpp"
#include "relay/scheduled/instant.hpp"
#include "relay/scheduled/source.hpp"
#include "relay/sources/http_json_client.hpp"
#include "relay/sources/http_json_paging.hpp"
#include "relay/sources/http_json_windows.hpp"

namespace muskrat::http_json {
namespace {

constexpr int64_t second_us = 1'000'000;
// By so much another machine's clock may be behind ours before it counts.
constexpr int64_t clocks_differ_us = 5 * second_us;

constexpr Option own_options[] = {
    {"url", OptionType::text, "", "",
     "Where the records are, such as https://stats.example.com/v1/stats/volume?step=3600; windows and pages are added "
     "to its query.",
     true},
    {"records", OptionType::text, "data", "", "The path of the array of records in the body; \"\": the body is one."},
    {"key", OptionType::text_list, "", "",
     "The members that identify a record, such as [key, ts]; they are its ordering key.", true},
    {"time", OptionType::text, "ts", "",
     "The path of a record's time, which must lie in the window that was asked for; \"\": records have none."},
    {"from_parameter", OptionType::text, "from", "", "The query parameter of a window's beginning."},
    {"to_parameter", OptionType::text, "to", "", "The query parameter of a window's end, which is not part of it."},
    {"time_format", OptionType::choice, "rfc3339", "rfc3339|unix|unix_ms",
     "How times are written: 2026-11-25T12:00:00Z, seconds or milliseconds since 1970."},
    {"start", OptionType::text, "1d", "", "Where the first run begins: so long ago, or a date or time."},
    {"window", OptionType::duration, "1h", "1s..366d", "How long a window is; they begin at whole multiples of it."},
    {"granularity", OptionType::duration, "1s", "1s..366d", "Windows begin and end at whole multiples of this."},
    {"lookback", OptionType::duration, "1h", "0s..366d",
     "Each run begins so long before the last one's end, for records that come late or change."},
    {"delay", OptionType::duration, "0s", "0s..366d", "How long ago a window must have ended to be asked for."},
};

OptionTable options() {
  static const std::vector<Option> all = joined({own_options, paging_options(), client_options(), scheduled_options()});
  return all;
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_scheduled(settings, problems);
  check_client(settings, problems);
  const auto wrong = [&](const char* option, const std::string& text) {
    problems.push_back({settings.where(option), std::string(option) + ": " + text});
  };
  if (http::origin_of(settings.text("url")).empty()) wrong("url", "it is no http:// or https:// URL");
  if (settings.text("url").find('#') != std::string::npos) wrong("url", "leave out the fragment behind #");
  if (settings.texts("key").empty()) wrong("key", "it names no member");
  if (!instant_of(settings.text("start"))) wrong("start", "give a duration such as 30d, or a time such as 2026-01-01");
  if (settings.duration("window").count() % settings.duration("granularity").count() != 0)
    wrong("window", "it must be a whole multiple of granularity");
}

std::optional<int64_t> whole(std::string_view digits) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

class Reader : public RecordReader {
 public:
  explicit Reader(const Component& component) : settings_(component.settings), format_(settings_.text("time_format")) {}

  std::string shape() const override { return "time"; }
  void read(Run& run) override;
  std::vector<std::string> probe(const Stop& stop) override;

 private:
  struct Bounds {
    int64_t begin, reached;  // of this run, in whole windows; of the runs before
  };
  bool read_window(const Window& window, const Bounds& bounds, Client& client, Run& run) const;
  // Up to where what the server has answered is told for good.
  int64_t safe_end(const Window& window, const http::Response& last) const;
  Page page_of(const json::Value& body, const Window& window) const;
  json::Value records_of(const json::Value& body) const;
  int64_t time_of(const json::Value& record) const;
  std::string url_of(const Window& window) const;
  std::string text_of(int64_t us) const;

  const Settings& settings_;
  std::string format_;
};

void Reader::read(Run& run) {
  const int64_t now = wall_clock_us();
  const auto start = instant_of(run.since().value_or(settings_.text("start")));
  if (!start) throw Failure(Remedy::stop, "--since: give so long ago, such as 3d, or a time such as 2026-01-01");
  const Windows windows(settings_, *start);
  const auto cursor = utc_from_text(run.cursor());
  const int64_t begin = windows.begin(run.since() ? std::nullopt : cursor, now), end = windows.end_at(now);
  if (run.since() && cursor && begin > *cursor) run.leave_cursor();
  // A cursor that lies ahead was made by a clock that has been set back since.
  const int64_t reached = cursor && *cursor <= end ? *cursor : INT64_MIN;
  Client client(settings_, run.stop());
  auto window = windows.at(begin, end);
  const Bounds bounds{window ? window->within : begin, reached};
  for (; window; window = windows.at(window->to, end)) {
    if (!read_window(*window, bounds, client, run)) return;
    if (run.counts().read > 0)
      run.expect(static_cast<int64_t>(static_cast<double>(run.counts().read) * static_cast<double>(end - begin) /
                                      static_cast<double>(window->to - begin)));
  }
}

bool Reader::read_window(const Window& window, const Bounds& bounds, Client& client, Run& run) const {
  Paging paging(settings_, url_of(window));
  const std::string etag = window.whole ? run.note(paging.url()) : "";
  const std::string first = paging.url(), before = run.cursor();
  http::Response response = client.get(first, etag, run);
  const std::string tag(response.header("ETag").value_or(""));
  bool more = response.status == 200, single = true;
  while (more) {
    std::string why;
    const auto body = json::Document::parse(response.body, why);
    if (!body) throw Failure(Remedy::reconnect, http::origin_of(first) + " sent a page that is not JSON: " + why);
    Page page = page_of(body->root(), window);
    more = paging.advance(response, body->root(), records_of(body->root()));
    page.cursor = before;
    page.forget_below = bounds.begin;
    if (!run.deliver(std::move(page)) || !run.settle()) return false;
    if (more) response = client.get(paging.url(), "", run);
    if (more) single = false;
  }
  Page last;
  last.cursor = utc_text_exact(std::max(safe_end(window, response), bounds.reached));
  last.forget_below = bounds.begin;
  if (!run.deliver(std::move(last)) || !run.settle()) return false;
  // The first page's tag says nothing about further ones.
  if (window.whole && single && !tag.empty() && response.status == 200) run.set_note(first, tag, window.from);
  return safe_end(window, response) == window.to;
}

int64_t Reader::safe_end(const Window& window, const http::Response& last) const {
  // Of a time that is still to come, by the server's clock, it has told nothing yet: ours is ahead.
  const auto date = last.header("Date");
  const auto there = date ? http::date_of(*date) : std::nullopt;
  if (!there || window.to <= *there * second_us + clocks_differ_us) return window.to;
  return std::max(window.from, *there * second_us);
}

json::Value Reader::records_of(const json::Value& body) const {
  const std::string& path = settings_.text("records");
  const auto records = path.empty() ? body : body.path(path);
  if (!records || records->type() != json::Type::array)
    throw Failure(Remedy::reconnect, "records: the answer has no array at " + (path.empty() ? "its top" : path));
  return *records;
}

Page Reader::page_of(const json::Value& body, const Window& window) const {
  const json::Value records = records_of(body);
  Page page;
  for (size_t i = 0; i < records.size(); ++i) {
    const json::Value record = records.at(i);
    const bool timeless = settings_.text("time").empty();
    // A window that is cut off at its beginning is cut off elsewhere by the next run.
    const int64_t at = timeless ? window.within : time_of(record);
    // Some servers count the end as part of the window; then the next one brings it again.
    if (!timeless && (at < window.from || at > window.to))
      throw Failure(Remedy::reconnect,
                    "time: a record lies outside of the window that was asked for; are from_parameter and "
                    "to_parameter those of the server?");
    page.records.push_back({record.dump(), "", at});
  }
  return page;
}

int64_t Reader::time_of(const json::Value& record) const {
  const std::string& path = settings_.text("time");
  const auto value = record.path(path);
  if (!value) throw Failure(Remedy::reconnect, "time: a record has no " + path);
  std::optional<int64_t> at;
  if (format_ == "rfc3339" && value->type() == json::Type::string) at = utc_from_text(value->string());
  if (format_ != "rfc3339" && value->type() == json::Type::number) at = whole(value->number());
  if (!at) throw Failure(Remedy::reconnect, "time: a record's " + path + " is not written as time_format says");
  return format_ == "unix" ? *at * second_us : format_ == "unix_ms" ? *at * 1000 : *at;
}

std::string Reader::text_of(int64_t us) const {
  if (format_ == "unix") return std::to_string(us / second_us);
  return format_ == "unix_ms" ? std::to_string(us / 1000) : utc_text_exact(us);
}

std::string Reader::url_of(const Window& window) const {
  const std::string from =
      with_parameter(settings_.text("url"), settings_.text("from_parameter"), text_of(window.from));
  return with_parameter(from, settings_.text("to_parameter"), text_of(window.to));
}

// A window that ended long ago, so that it does no harm to be asked for; its records are not looked at.
std::vector<std::string> Reader::probe(const Stop& stop) {
  const Windows windows(settings_, wall_clock_us() - settings_.duration("window").count() * 1000);
  const int64_t now = wall_clock_us();
  const auto window = windows.at(windows.begin(std::nullopt, now), windows.end_at(now));
  const std::string url = window ? Paging(settings_, url_of(*window)).url() : settings_.text("url");
  const http::Response response = Client(settings_, stop).once(url, "");
  const std::string origin = http::origin_of(url);
  if (response.status != 200) throw Failure(Remedy::reconnect, origin + " " + status_text(response));
  std::string why;
  const auto body = json::Document::parse(response.body, why);
  if (!body) throw Failure(Remedy::reconnect, origin + " sent a page that is not JSON: " + why);
  const size_t records = records_of(body->root()).size();
  return {origin + " answers", "a page of the newest window has " + std::to_string(records) + " records"};
}

std::unique_ptr<RecordReader> make(const Component& component) { return std::make_unique<Reader>(component); }

}  // namespace

const SourceKind kind{
    {"http-json", "Records of a JSON API such as Statsserver, a window of time at a time, on a schedule.",
     muskrat::http_json::options(), muskrat::http_json::validate},
    nullptr,
    muskrat::http_json::make};

}  // namespace muskrat::http_json

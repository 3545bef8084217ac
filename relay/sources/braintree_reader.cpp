#include "relay/sources/braintree_reader.hpp"

#include <algorithm>
#include <array>

#include "common/json.hpp"
#include "common/utc_text.hpp"
#include "relay/scheduled/deletion.hpp"
#include "relay/scheduled/instant.hpp"
#include "relay/sources/braintree_records.hpp"

namespace muskrat::braintree {
namespace {

constexpr int64_t second_us = 1'000'000, minute_us = 60 * second_us, day_us = 86'400 * second_us;

constexpr Criterion created{"created-at"};
// Of a transaction each status that has a time. The others are found by the scan.
constexpr std::array transitions{
    created,
    Criterion{"authorized-at"},
    Criterion{"submitted-for-settlement-at"},
    Criterion{"settled-at"},
    Criterion{"voided-at"},
    Criterion{"failed-at"},
    Criterion{"gateway-rejected-at"},
    Criterion{"processor-declined-at"},
    Criterion{"authorization-expired-at"},
};
constexpr std::array days{Criterion{"dispute-date", true}, Criterion{"disbursement-date", true}};

int64_t unit_of(const Criterion& criterion) { return criterion.by_day ? day_us : minute_us; }
int64_t down_to(int64_t us, int64_t unit) { return us - us % unit; }

constexpr size_t stretch = 1000;  // rows looked at, and deletions told, at a time

// Of a row's key, which is the JSON array of it.
std::string id_in(const std::string& key) {
  std::string why;
  const auto document = json::Document::parse(key, why);
  return document ? document->root().at(0).scalar_text().value_or("") : "";
}

std::string time_text(std::optional<int64_t> us) { return us ? utc_text(*us) : ""; }

int64_t micros(const Settings& settings, const char* option) { return settings.duration(option).count() * 1000; }

}  // namespace

bool tells_deletions(const Settings& settings) {
  return settings.text("object") == "customers" && settings.text("deletes") == "scan";
}

std::string criteria_text(const Criterion& criterion, int64_t from, int64_t to) {
  const int64_t last = to - unit_of(criterion);
  const auto bound = [&](const char* name, int64_t us) {
    const std::string text = criterion.by_day ? utc_text(us).substr(0, 10) : utc_text(us);
    return "<" + std::string(name) + " type=\"" + (criterion.by_day ? "date" : "datetime") + "\">" + text + "</" +
           name + ">";
  };
  const std::string name(criterion.name);
  return "<" + name + ">" + bound("min", from) + bound("max", last) + "</" + name + ">";
}

std::string text_of(const Cursor& cursor) {
  std::string text;
  for (const auto& part : {cursor.reached, cursor.scanned, cursor.begun, cursor.place})
    text += (text.empty() ? "[" : ",") + json::quote(time_text(part));
  return text + "]";
}

Cursor cursor_of(const std::string& text) {
  if (text.empty()) return {};
  std::string why;
  const auto document = json::Document::parse(text, why);
  if (!document || document->root().type() != json::Type::array || document->root().size() != 4)
    throw Failure(Remedy::stop, "the stored cursor cannot be read; give the source another name to begin anew");
  const auto part = [&](size_t i) { return utc_from_text(document->root().at(i).scalar_text().value_or("")); };
  return {part(0), part(1), part(2), part(3)};
}

Reading::Reading(const Settings& settings, Run& run)
    : settings_(settings),
      resource_(resource_of(settings)),
      run_(run),
      gateway_(settings, run.stop(), &run),
      cursor_(cursor_of(run.cursor())) {}

size_t Reading::most_results() const {
  return settings_.has("search_limit") ? static_cast<size_t>(settings_.integer("search_limit"))
                                       : resource_.most_results;
}

void Reading::read() {
  // Only an answer tells the gateway's time.
  gateway_.find(criteria_text(created, down_to(gateway_.calls().now_us(), minute_us) - minute_us,
                              down_to(gateway_.calls().now_us(), minute_us)));
  const int64_t now = down_to(gateway_.calls().now_us(), minute_us);
  if (run_.since() && !instant_of(*run_.since()))
    throw Failure(Remedy::stop, "--since: give so long ago, such as 3d, or a time such as 2026-01-01");
  // A transaction that is older than a scan is not looked at again unless it changes.
  if (resource_.name == "transactions")
    oldest_rank_ = now - micros(settings_, "rescan") - micros(settings_, "rescan_every") - 2 * day_us;
  if (tells_deletions(settings_)) now_ = utc_text(now);
  begin_scan(now);
  if (changes(now) && cursor_.place) scan();
}

// The first run, one from --since, and one for which it is time read all, by when it was created; one that did not come
// to its end is gone on with.
void Reading::begin_scan(int64_t now) {
  const std::string& start = settings_.text("start");
  const int64_t first = down_to(instant_of(run_.since().value_or(start)).value_or(0), minute_us);
  // Of a scan that did not come to its end, what is not read yet is still to be read.
  if (run_.since() && cursor_.place && first > *cursor_.place) run_.leave_cursor();
  if (run_.since() || !cursor_.reached) {
    cursor_.begun = now;
    cursor_.place = first;
    if (!cursor_.reached) cursor_.reached = now;
    return;
  }
  if (cursor_.place) return;
  // A clock that was set back does not put it off.
  const int64_t last = std::min(cursor_.scanned.value_or(0), now);
  if (now - last < micros(settings_, "rescan_every")) return;
  cursor_.begun = now;
  cursor_.place = first;
  if (resource_.name == "transactions")
    cursor_.place = std::max(first, down_to(now - micros(settings_, "rescan"), minute_us));
}

bool Reading::changes(int64_t now) {
  const int64_t from = down_to(std::min(*cursor_.reached, now) - micros(settings_, "overlap"), minute_us);
  floor_ = from;
  const std::span<const Criterion> all = resource_.name == "transactions" ? std::span<const Criterion>(transitions)
                                                                          : std::span<const Criterion>(&created, 1);
  // The minute that is under way is asked for too, and again by the next run.
  for (const Criterion& criterion : all)
    if (!between(criterion, {from, now + minute_us}, false)) return false;
  cursor_.reached = now;
  return deliver({});
}

bool Reading::scan() {
  floor_ = 0;
  const int64_t end = *cursor_.begun + minute_us;
  const int64_t from = *cursor_.place;
  if (from < end && !between(created, {from, end}, true)) return false;
  if (resource_.name == "transactions") {
    floor_ = down_to(*cursor_.begun - micros(settings_, "rescan"), day_us);
    for (const Criterion& criterion : days)
      if (!between(criterion, {floor_, down_to(*cursor_.begun, day_us) + day_us}, false)) return false;
  }
  // A scan of --since is none of all.
  if (!now_.empty() && !run_.since() && !tell_gone()) return false;
  cursor_.scanned = cursor_.begun;
  cursor_.begun = cursor_.place = std::nullopt;
  return deliver({});
}

bool Reading::between(const Criterion& criterion, Span span, bool creation) {
  Gateway::Found found = gateway_.find(criteria_text(criterion, span.from, span.to));
  const int64_t unit = unit_of(criterion);
  if (found.ids.size() >= most_results()) {
    const int64_t middle = span.from + down_to((span.to - span.from) / 2, unit);
    if (middle > span.from)
      return between(criterion, {span.from, middle}, creation) && between(criterion, {middle, span.to}, creation);
    throw Failure(Remedy::reconnect,
                  "Braintree has " + std::to_string(found.ids.size()) + " or more " + std::string(resource_.name) +
                      " by " + std::string(criterion.name) + " in the " + (criterion.by_day ? "day" : "minute") +
                      " of " + utc_text(span.from) + ", and tells no more of a search: they cannot all be read");
  }
  if (!hand_over(std::move(found))) return false;
  if (!creation) return true;
  cursor_.place = span.to;
  return deliver({});
}

// Oldest first, a page at a time.
bool Reading::hand_over(Gateway::Found&& found) {
  page_size_ = found.page_size;
  run_.expect(run_.counts().read + static_cast<int64_t>(found.ids.size()));
  std::reverse(found.ids.begin(), found.ids.end());
  for (auto from = found.ids.begin(); from != found.ids.end();) {
    const auto to =
        from + std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(found.page_size), found.ids.end() - from);
    Page page;
    for (const xml::Element& element : gateway_.records({from, to})) page.records.push_back(record_of(element));
    if (!deliver(std::move(page))) return false;
    from = to;
  }
  return true;
}

// Whom the scan has not seen may be outside of its reach, or be indexed late: only who is not there by id is gone.
bool Reading::tell_gone() {
  if (!run_.settle()) return false;
  const std::string begun = utc_text(*cursor_.begun);
  std::vector<std::string> gone;
  int64_t all = 0;
  std::string place;
  for (std::vector<KnownRow> rows; !(rows = run_.known_behind(place, stretch)).empty();) {
    place = rows.back().key;
    all += std::ssize(rows);
    std::erase_if(rows, [&](const KnownRow& row) { return row.digest >= begun; });
    if (!look_again(rows, gone)) return false;
    run_.beat();
  }
  refuse_many_gone(std::ssize(gone), all, settings_.integer("most_deleted"), "this merchant's account");
  return deliver_gone(gone);
}

bool Reading::look_again(const std::vector<KnownRow>& rows, std::vector<std::string>& gone) {
  for (size_t from = 0; from < rows.size(); from += page_size_) {
    std::vector<std::string> ids;
    for (size_t i = from; i < std::min(rows.size(), from + page_size_); ++i) ids.push_back(id_in(rows[i].key));
    Page page;
    for (const xml::Element& element : gateway_.records(ids)) {
      page.records.push_back(record_of(element));
      std::erase(ids, text_in(element, "id"));
    }
    gone.insert(gone.end(), ids.begin(), ids.end());
    if (!deliver(std::move(page))) return false;
  }
  return true;
}

bool Reading::deliver_gone(const std::vector<std::string>& ids) {
  for (size_t from = 0; from < ids.size(); from += stretch) {
    Page page;
    for (size_t i = from; i < std::min(ids.size(), from + stretch); ++i) page.records.push_back(deletion_of(ids[i]));
    if (!deliver(std::move(page))) return false;
  }
  return true;
}

bool Reading::deliver(Page&& page) {
  page.seen = now_;
  page.cursor = text_of(cursor_);
  page.forget_below = oldest_rank_;
  return run_.deliver(std::move(page));
}

std::string Reading::beginning_of_body(const char* change) const {
  return R"({"object":)" + json::quote(resource_.object) + R"(,"change":)" + json::quote(change);
}

Record Reading::record_of(const xml::Element& element) const {
  if (text_in(element, "id").empty())
    throw Failure(Remedy::reconnect, "Braintree sent one of its " + std::string(resource_.name) + " without id");
  Record record;
  const std::string inner = json_of(element);
  record.body = beginning_of_body("Changed") + "," + inner.substr(1);
  record.version = text_in(element, "updated-at");
  record.rank = std::max(utc_from_text(record.version).value_or(0), floor_);
  return record;
}

// The same deletion has the same id, also when a run that was cut short is repeated.
Record Reading::deletion_of(const std::string& id) const {
  Record record;
  record.body = beginning_of_body("Deleted") + R"(,"id":)" + json::quote(id) + "}";
  record.version = utc_text(*cursor_.begun);
  record.rank = *cursor_.begun;
  record.op = Op::remove;
  return record;
}

}  // namespace muskrat::braintree

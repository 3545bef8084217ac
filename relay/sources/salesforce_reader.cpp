#include "relay/sources/salesforce_reader.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/utc_text.hpp"
#include "relay/scheduled/instant.hpp"

namespace muskrat::salesforce_source {
namespace {

constexpr int64_t second_us = 1'000'000, minute_us = 60 * second_us, day_us = 86'400 * second_us;
// So long Salesforce tells what was deleted.
constexpr int64_t bin_us = 15 * day_us;
// Of `updated` and `deleted`: more than a minute, and whole ones.
constexpr int64_t shortest_span_us = 2 * minute_us;
constexpr size_t page_of_deletions = 2000;
// Marks that are no hash, of rows told as deleted, and of such as are back and have nothing to be hashed.
constexpr const char *gone = "gone", *there = "there";
constexpr int most_restarts = 5;  // of a query, without having come further

int64_t whole_minutes(int64_t us) { return us - us % minute_us; }

std::optional<int64_t> time_in(const json::Value& answer, std::string_view name) {
  const auto value = answer.find(name);
  return value && value->type() == json::Type::string ? time_of(value->string()) : std::nullopt;
}

std::string changes_path(const std::string& object, const char* what, int64_t start, int64_t end) {
  return "/sobjects/" + object + "/" + what + "/?start=" + http::percent_encode(utc_text(start)) +
         "&end=" + http::percent_encode(utc_text(end));
}

int64_t count_of(std::string_view digits) {
  int64_t count = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), count);
  return count;
}

std::string time_text(std::optional<int64_t> us) { return us ? utc_text_exact(*us) : ""; }

}  // namespace

std::string text_of(const Cursor& cursor) {
  return "[" + json::quote(time_text(cursor.place.stamp)) + "," + json::quote(cursor.place.id) + "," +
         json::quote(time_text(cursor.known)) + "]";
}

Cursor cursor_of(const std::string& text) {
  if (text.empty()) return {};
  std::string why;
  const auto document = json::Document::parse(text, why);
  const auto part = [&](size_t i) { return document->root().at(i).scalar_text().value_or(""); };
  if (!document || document->root().type() != json::Type::array || document->root().size() != 3)
    throw Failure(Remedy::stop, "the stored cursor cannot be read; give the source another name to begin anew");
  return {{utc_from_text(part(0)), part(1)}, utc_from_text(part(2))};
}

Reading::Reading(const Settings& settings, Session& session, const Described& described, Run& run)
    : settings_(settings),
      described_(described),
      run_(run),
      api_(settings, session, run.stop(), &run),
      shape_{described.object, described.stamp, {}, {}, {}},
      users_(settings.texts("own_users")),
      overlap_(settings.duration("overlap").count() * 1000) {
  for (const std::string& field : settings.texts("own_fields")) shape_.own.insert(lower_name(field));
  if (!shape_.own.empty() && users_.empty()) users_.push_back(api_.user());
}

bool Reading::deleted_by_query() const {
  return settings_.text("deletes") == "query" && described_.has("IsDeleted") && !described_.stamp.empty();
}

Query Reading::query() const {
  Query query{described_.object, {"Id"}, settings_.text("where"), described_.stamp};
  const auto add = [&](const std::string& field) {
    const bool there = std::find(query.fields.begin(), query.fields.end(), field) != query.fields.end();
    if (!there) query.fields.push_back(field);
    return !there;
  };
  for (const std::string& field : described_.select) add(field);
  if (!described_.stamp.empty()) add(described_.stamp);
  return query;
}

void Reading::incremental() {
  Query asked = query();
  const auto beside = [&](const char* field) {
    if (!described_.has(field) || std::find(asked.fields.begin(), asked.fields.end(), field) != asked.fields.end())
      return;
    asked.fields.emplace_back(field);
    shape_.hidden.insert(field);
  };
  if (deleted_by_query()) beside("IsDeleted");
  beside("CreatedDate");
  for (const char* who : {"LastModifiedById", "CreatedById"})
    if (!shape_.own.empty()) beside(who);
  Way way = begin();
  if (deletions(way) && pages(way, asked)) finish(way);
}

void Reading::snapshot() {
  if (run_.since()) throw Failure(Remedy::stop, "--since: a snapshot has all rows, and nothing to begin from");
  Way way;
  way.now = api_.calls().now_us();
  shape_.as_of = utc_text_exact(way.now);
  if (!pages(way, query())) return;
  Page last;
  last.cursor = *shape_.as_of;
  run_.deliver(std::move(last));
}

Reading::Way Reading::begin() {
  Way way;
  way.cursor = cursor_of(run_.cursor());
  way.covered = covered();
  way.now = api_.calls().now_us();
  if (way.covered) way.covered = std::min(*way.covered, way.now);
  check_gap(way);
  way.calm = std::min(way.now, way.covered.value_or(way.now)) - overlap_;
  const std::string start = run_.since().value_or(way.cursor.place.stamp ? "" : settings_.text("start"));
  if (run_.since() && !instant_of(start))
    throw Failure(Remedy::stop, "--since: give so long ago, such as 3d, or a time such as 2026-01-01");
  if (!start.empty())
    way.place.stamp = instant_of(start);
  else if (way.cursor.place.stamp)
    way.place.stamp = *way.cursor.place.stamp - overlap_;
  if (run_.since() && way.cursor.place.stamp && *way.place.stamp > *way.cursor.place.stamp) run_.leave_cursor();
  // What was deleted before the first run never was there for those who listen.
  if (!way.cursor.known) way.cursor.known = way.now;
  return way;
}

void Reading::check_gap(const Way& way) const {
  if (run_.since() || settings_.text("deletes") == "none" || !way.cursor.known) return;
  if (way.now - *way.cursor.known > bin_us)
    refuse_gap("the last whole run began at " + utc_text(*way.cursor.known) +
               ", and Salesforce tells what was deleted for 15 days");
}

void Reading::refuse_gap(const std::string& why) const {
  throw Failure(Remedy::reconnect, why + ": some deletions may be lost. Run muskrat produce " + run_.name() +
                                       " --since 1970-01-01, which tells every record anew and goes on from there, "
                                       "and remove what is not among them from where they go");
}

// Up to when nothing can come late any more: held back to the start of the oldest transaction that is under way.
std::optional<int64_t> Reading::covered() {
  if (!settings_.boolean("covered") || !described_.replicated) return std::nullopt;
  const json::Document answer = updated();
  const auto covered = time_in(answer.root(), "latestDateCovered");
  if (!covered) throw Failure(Remedy::reconnect, "Salesforce's answer has no latestDateCovered");
  return covered;
}

// It may be the run's first call. Where our clock is ahead that asks for what is to come: the refusal has told
// Salesforce's time, and by that it is asked once more.
json::Document Reading::updated() {
  const auto ask = [&] {
    const int64_t end = whole_minutes(api_.calls().now_us());
    return api_.get(changes_path(described_.object, "updated", end - shortest_span_us, end));
  };
  try {
    return ask();
  } catch (const Refused& refused) {
    if (refused.code() != "INVALID_REPLICATION_DATE") throw;
  }
  return ask();
}

bool Reading::deletions(Way& way) {
  if (settings_.text("deletes") != "log") return true;
  const int64_t start = whole_minutes(run_.since() ? std::max(*way.cursor.known, way.now - bin_us) : *way.cursor.known);
  const int64_t end = whole_minutes(way.now);
  return end - start < shortest_span_us || deletions_between(start, end, way);
}

// Of what was deleted before the log begins nobody tells; a run that tells all anew goes on from there.
bool Reading::deletions_between(int64_t start, int64_t end, Way& way) {
  std::optional<json::Document> answer;
  try {
    answer = api_.get(changes_path(described_.object, "deleted", start, end));
  } catch (const Refused& refused) {
    if (refused.code() == "INVALID_REPLICATION_DATE" && run_.since() && end - start > shortest_span_us)
      return deletions_between(end - shortest_span_us, end, way);
    if (refused.code() == "INVALID_REPLICATION_DATE") refuse_gap("deletions are known up to " + utc_text(start));
    const int64_t middle = whole_minutes(start + (end - start) / 2);
    if (refused.code() != "EXCEEDED_ID_LIMIT" || middle - start < shortest_span_us) throw;
    return deletions_between(start, middle, way) && deletions_between(middle, end, way);
  }
  const auto earliest = time_in(answer->root(), "earliestDateAvailable");
  const auto list = answer->root().find("deletedRecords");
  const auto reached = time_in(answer->root(), "latestDateCovered");
  if (!list || list->type() != json::Type::array || !reached)
    throw Failure(Remedy::reconnect, "Salesforce's answer has no deletedRecords or no latestDateCovered");
  if (earliest && *earliest > start && !run_.since())
    refuse_gap("deletions are known up to " + utc_text(start) + ", and Salesforce's list begins at " +
               utc_text(*earliest));
  std::vector<Row> rows;
  for (size_t i = 0; i < list->size(); ++i) {
    rows.push_back(deletion_of(list->at(i), described_.object));
    if (rows.size() == page_of_deletions && !deliver(std::exchange(rows, {}), way)) return false;
  }
  way.cursor.known = std::min(*reached, end);
  return deliver(std::move(rows), way);
}

bool Reading::pages(Way& way, const Query& query) {
  const std::string resource = deleted_by_query() ? "/queryAll?q=" : "/query?q=";
  const auto first = [&] { return resource + http::percent_encode(soql(query, way.place)); };
  std::string path = first();
  for (int restarts = 0;;) {
    std::optional<json::Document> answer;
    const bool begun = path.starts_with(resource);
    try {
      answer = api_.get(path);
    } catch (const Refused& refused) {
      if (begun || refused.code() != "INVALID_QUERY_LOCATOR" || ++restarts > most_restarts) throw;
      path = first();
      continue;
    }
    const auto rows = answer->root().find("records");
    if (!rows || rows->type() != json::Type::array)
      throw Failure(Remedy::reconnect, "Salesforce's answer has no records");
    if (const auto total = answer->root().find("totalSize"); begun && total && total->type() == json::Type::number)
      run_.expect(run_.counts().read + count_of(total->number()));
    const std::string before = way.place.id;
    if (!hand_over(*rows, way)) return false;
    if (way.place.id != before) restarts = 0;
    path = next_of(answer->root(), path);
    if (path.empty()) return true;
  }
}

// "" when there is none.
std::string Reading::next_of(const json::Value& answer, const std::string& path) const {
  const auto done = answer.find("done");
  if (!done || done->type() != json::Type::boolean)
    throw Failure(Remedy::reconnect, "Salesforce's answer does not say whether there are more pages");
  if (done->boolean()) return "";
  const auto next = answer.find("nextRecordsUrl");
  std::string url = next && next->type() == json::Type::string ? std::string(next->string()) : "";
  if (!url.starts_with("/services/data/") || url == path)
    throw Failure(Remedy::reconnect, "Salesforce's answer says that there are more pages, and not where");
  return url;
}

bool Reading::hand_over(const json::Value& rows, Way& way) {
  std::vector<Row> page;
  for (size_t i = 0; i < rows.size(); ++i) page.push_back(row_of(rows.at(i), shape_));
  for (const Row& row : page) {
    // A row that has changed since the query began stands in its old place with its new stamp; such are not calm, and
    // the place stays before them.
    if (!described_.stamp.empty() && row.stamp >= way.calm) break;
    way.place = {described_.stamp.empty() ? std::nullopt : std::optional(row.stamp), row.id};
  }
  if (described_.stamp.empty()) return deliver(std::move(page), way);
  const Place& told = way.cursor.place;
  if (!way.place.id.empty() &&
      (!told.stamp || *told.stamp < *way.place.stamp || (*told.stamp == *way.place.stamp && told.id < way.place.id)))
    way.cursor.place = way.place;
  return deliver(std::move(page), way);
}

bool Reading::deliver(std::vector<Row>&& rows, Way& way) {
  Page page;
  for (Row& row : rows) {
    const bool echo = is_echo(row);
    if (const std::string mark = mark_of(row); !mark.empty()) page.kept.push_back({row.id, mark});
    if (!echo)
      page.records.push_back({std::move(row.body), shape_.as_of.value_or(row.stamp_text), row.stamp,
                              row.deleted ? Op::remove : Op::record});
  }
  if (shape_.as_of) {
    page.captured_us = way.now;
    page.cursor = run_.cursor();
  } else {
    page.cursor = text_of(way.cursor);
    const int64_t reached = std::min(way.cursor.place.stamp.value_or(0), *way.cursor.known);
    page.forget_below = reached - overlap_ - minute_us;
  }
  return run_.deliver(std::move(page));
}

// What is kept of a row that is told; "": nothing. That it was told as deleted is kept too: whoever brings it back,
// those who listen have to hear of it.
std::string Reading::mark_of(const Row& row) const {
  if (shape_.own.empty()) return "";
  if (row.deleted) return gone;
  if (!row.others.empty()) return row.others;
  return run_.kept(row.id) == gone ? there : "";
}

// What an endpoint of ours wrote and nobody else has touched: the fields that it writes are as it wrote them, since it
// was the last to write, and all others are as they were when they were last told.
bool Reading::is_echo(const Row& row) const {
  if (shape_.own.empty() || row.deleted || run_.since() || !ours(row.changed_by)) return false;
  const std::string known = run_.kept(row.id);
  if (known == gone) return false;
  return row.others.empty() || known == row.others || (known.empty() && row.created && ours(row.created_by));
}

bool Reading::ours(const std::string& user) const {
  return std::any_of(users_.begin(), users_.end(), [&](const std::string& each) { return same_id(each, user); });
}

// All is read: what comes from now on has a stamp of now, or comes late by less than the overlap.
bool Reading::finish(Way& way) {
  std::optional<int64_t> end = way.covered;
  if (!end && api_.calls().heard_the_time()) end = way.now;
  if (end && (!way.cursor.place.stamp || *end > *way.cursor.place.stamp)) way.cursor.place = {end, ""};
  if (settings_.text("deletes") != "log") way.cursor.known = way.now;
  return deliver({}, way);
}

}  // namespace muskrat::salesforce_source

#include "relay/sources/postgres_outbox_history.hpp"

#include <algorithm>
#include <queue>
#include <unordered_map>

#include "relay/sources/postgres_outbox_rows.hpp"
#include "relay/sources/postgres_outbox_sql.hpp"

namespace muskrat::postgres_outbox {
namespace {

// Scanning days of events takes its time.
constexpr milliseconds scan_time = std::chrono::hours(1), answer_time = std::chrono::minutes(1);
constexpr size_t page_events = 500;
constexpr int64_t page_bytes = 2 << 20;

}  // namespace

// What the statements take, in the order of postgres_outbox_sql.hpp.
class History::Parameters {
 public:
  Parameters(const History& history, const HistoryFilter& filter, int64_t after) : after_(std::to_string(after)) {
    if (!filter.keys.empty()) keys_ = pg::text_array(filter.keys);
    if (!filter.message_ids.empty()) message_ids_ = pg::text_array(filter.message_ids);
    if (filter.addressees) addressees_ = pg::text_array(*filter.addressees);
    if (filter.routing_keys) routing_keys_ = pg::text_array(*filter.routing_keys);
    const auto some = [](const auto& text) { return text ? pg::Param(*text) : pg::Param(); };
    params_ = {history.xmax_,
               history.xip_,
               history.current_.empty() ? pg::Param() : pg::Param(history.current_),
               history.current_.empty() ? pg::Param() : pg::Param(history.current_id_),
               history.held_,
               some(filter.since),
               some(filter.until),
               some(keys_),
               some(message_ids_),
               some(addressees_),
               some(routing_keys_),
               filter.addressed ? "true" : "false",
               after_};
  }
  operator std::span<const pg::Param>() const { return params_; }

 private:
  const std::string after_;
  std::optional<std::string> keys_, message_ids_, routing_keys_, addressees_;
  std::vector<pg::Param> params_;
};

History::History(pg::Connection& db, std::string source, size_t limit)
    : db_(db), source_(std::move(source)), limit_(limit) {
  db_.exec("SET jit = off; SET max_parallel_workers_per_gather = 0; SET search_path = pg_catalog, pg_temp",
           Deadline::in(answer_time));
  const pg::Result row = db_.exec(
      "SELECT pg_snapshot_xmax(last)::text, ARRAY(SELECT pg_snapshot_xip(last))::text, current::text, "
      "current_id::text, "
      "held::text FROM muskrat.cursor",
      Deadline::in(answer_time));
  if (row.rows() == 0)
    throw Failure(Remedy::stop, "nothing was ever published from " + db_.place() + ": no relay has run there");
  xmax_ = row.text(0, 0);
  xip_ = row.text(0, 1);
  current_ = row.text(0, 2);
  current_id_ = row.text(0, 3);
  held_ = row.text(0, 4);
}

std::vector<HistoryCount> History::count(const HistoryFilter& filter) {
  const Parameters parameters(*this, filter, filter.after);
  const pg::Result rows = db_.exec(sql::published_counts(), parameters, Deadline::in(scan_time));
  std::vector<HistoryCount> counts;
  counts.reserve(static_cast<size_t>(rows.rows()));
  for (int i = 0; i < rows.rows(); ++i) {
    counts.push_back({std::string(rows.text(i, 0)), std::string(rows.text(i, 1)), rows.int64(i, 2), rows.int64(i, 3),
                      rows.int64(i, 4), rows.int64(i, 5), rows.int64(i, 6), rows.int64(i, 7)});
  }
  return counts;
}

void History::choose(HistoryFilter filter) {
  filter_ = std::move(filter);
  listed_.clear();
  at_ = 0;
  more_ = true;
}

// The smallest ids beyond what was listed before. One scan, streamed: the server sorts nothing.
void History::list() {
  const int64_t after = listed_.empty() ? filter_.after : listed_.back().id;
  const Parameters parameters(*this, filter_, after);
  std::priority_queue<Place> smallest;
  db_.stream(
      sql::published_places(), parameters,
      [&](const pg::Result& row) {
        const Place place{row.int64(0, 2), place_of(row.int64(0, 0), row.text(0, 1)), row.int64(0, 3)};
        if (smallest.size() == limit_ && !(place < smallest.top())) return;
        smallest.push(place);
        if (smallest.size() > limit_) smallest.pop();
      },
      Deadline::in(scan_time));
  more_ = smallest.size() == limit_;
  listed_.resize(smallest.size());
  for (auto slot = listed_.rbegin(); slot != listed_.rend(); ++slot, smallest.pop()) *slot = smallest.top();
  at_ = 0;
}

size_t History::page_end() const {
  size_t end = at_;
  for (int64_t bytes = 0; end < listed_.size() && end - at_ < page_events && (end == at_ || bytes < page_bytes); ++end)
    bytes += listed_[end].bytes;
  return end;
}

std::vector<Event> History::read_page(size_t end) {
  Ctids ctids;
  std::unordered_map<int64_t, size_t> order;
  for (size_t i = at_; i < end; ++i) {
    ctids.add(listed_[i].place);
    order[listed_[i].id] = i - at_;
  }
  const auto params = ctids.params();
  std::vector<Event> events(end - at_);
  const pg::Result rows =
      db_.exec_prepared(sql::published_by_place(), params, Deadline::in(answer_time), pg::Format::binary);
  for (int row = 0; row < rows.rows(); ++row) {
    const auto found = order.find(rows.binary_int(row, 0));
    if (found == order.end()) continue;  // another event stands there now
    Event& event = events[found->second];
    read_event(rows, row, 0, event);
    event.source = source_;
    event.epoch = rows.binary_int(row, 8);
  }
  return events;
}

std::vector<Event> History::next() {
  for (;;) {
    if (at_ == listed_.size() && more_) list();
    const size_t end = page_end();
    if (at_ == end) return {};
    std::vector<Event> events = read_page(end);
    at_ = end;
    gone_ += static_cast<int64_t>(std::erase_if(events, [](const Event& event) { return event.message_id.empty(); }));
    if (!events.empty()) return events;
  }
}

}  // namespace muskrat::postgres_outbox

#include "relay/sources/mysql_outbox_history.hpp"

#include "relay/sources/mysql_outbox_db.hpp"
#include "relay/sources/mysql_outbox_rows.hpp"

namespace muskrat::mysql_outbox {
namespace {

// Looking through days of events takes its time.
constexpr milliseconds scan_time = std::chrono::hours(1), answer_time = std::chrono::minutes(1);
constexpr int64_t list_limit = 100'000;
constexpr size_t page_events = 500;
constexpr int64_t page_bytes = 2 << 20;

const char* const addressee = "JSON_UNQUOTE(JSON_EXTRACT(headers, '$.to'))";

// A WHERE and what it takes. The parameters view the filter's texts.
class Condition {
 public:
  Condition(const HistoryFilter& filter, int64_t after) : sql_(" WHERE id > " + std::to_string(after)) {
    if (filter.since) both("captured_at >= ?", *filter.since);
    if (filter.until) both("captured_at < ?", *filter.until);
    if (!filter.keys.empty()) sql_ += " AND " + among("ordering_key", filter.keys);
    if (!filter.message_ids.empty()) sql_ += " AND " + among("message_id", filter.message_ids);
    if (filter.addressees)
      sql_ += std::string(" AND (") + addressee + " IS NULL OR " + among(addressee, *filter.addressees) + ")";
    if (filter.routing_keys) {
      const std::string one = filter.addressed ? std::string(" OR ") + addressee + " IS NOT NULL" : "";
      sql_ += " AND (" + among("routing_key", *filter.routing_keys) + one + ")";
    }
  }
  const std::string& sql() const { return sql_; }
  std::span<const mysql::Param> params() const { return params_; }

 private:
  void both(const char* condition, const std::string& value) {
    sql_ += std::string(" AND ") + condition;
    params_.emplace_back(value);
  }
  std::string among(const std::string& what, const std::vector<std::string>& values) {
    if (values.empty()) return "FALSE";
    std::string list;
    for (const std::string& value : values) {
      list += list.empty() ? "?" : ", ?";
      params_.emplace_back(value);
    }
    return what + " IN (" + list + ")";
  }

  std::string sql_;
  std::vector<mysql::Param> params_;
};

}  // namespace

std::vector<HistoryCount> History::count(const HistoryFilter& filter) {
  const Condition where(filter, filter.after);
  const mysql::Result rows = db_.exec(
      std::string("SELECT routing_key, COALESCE(") + addressee +
          ", '') AS addressee, COUNT(*), SUM(OCTET_LENGTH(body)), MIN(id), MAX(id), TIMESTAMPDIFF(MICROSECOND, "
          "'1970-01-01 00:00:00', MIN(captured_at)), TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', "
          "MAX(captured_at)) FROM muskrat.history" +
          where.sql() + " GROUP BY 1, 2 ORDER BY 1, 2",
      where.params(), Deadline::in(scan_time));
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
  last_ = filter_.after;
  more_ = true;
}

void History::list() {
  const Condition where(filter_, last_);
  const mysql::Result rows = db_.exec("SELECT id, OCTET_LENGTH(body) FROM muskrat.history" + where.sql() +
                                          " ORDER BY id LIMIT " + std::to_string(list_limit),
                                      where.params(), Deadline::in(scan_time));
  listed_.clear();
  at_ = 0;
  for (int i = 0; i < rows.rows(); ++i) listed_.push_back({rows.int64(i, 0), rows.int64(i, 1)});
  more_ = rows.rows() == list_limit;
  if (!listed_.empty()) last_ = listed_.back().id;
}

std::vector<Event> History::read(const std::vector<int64_t>& ids) {
  const mysql::Result rows = db_.exec(std::string("SELECT ") + event_columns +
                                          ", epoch FROM muskrat.history WHERE id IN (" + id_list(ids) + ") ORDER BY id",
                                      Deadline::in(answer_time));
  std::vector<Event> events;
  events.reserve(static_cast<size_t>(rows.rows()));
  for (int row = 0; row < rows.rows(); ++row) {
    Event event = event_of_row(rows, row);
    event.source = source_;
    event.epoch = rows.int64(row, event_column_count);
    events.push_back(std::move(event));
  }
  gone_ += static_cast<int64_t>(ids.size() - events.size());
  return events;
}

std::vector<Event> History::next() {
  for (;;) {
    if (at_ == listed_.size() && more_) list();
    std::vector<int64_t> ids;
    for (int64_t bytes = 0; at_ < listed_.size() && ids.size() < page_events && (ids.empty() || bytes < page_bytes);
         ++at_) {
      bytes += listed_[at_].bytes;
      ids.push_back(listed_[at_].id);
    }
    if (ids.empty()) return {};
    std::vector<Event> events = read(ids);
    if (!events.empty()) return events;
  }
}

}  // namespace muskrat::mysql_outbox

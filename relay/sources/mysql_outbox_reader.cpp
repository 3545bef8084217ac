#include "relay/sources/mysql_outbox_reader.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "common/log.hpp"
#include "relay/sources/mysql_outbox_rows.hpp"

namespace muskrat::mysql_outbox {
namespace {

constexpr int64_t fetch_bytes = 2 << 20;  // bodies are in memory twice for a moment
constexpr milliseconds full_look_interval{10'000};
constexpr milliseconds gap_age{10'000};  // an id is drawn and its row written within one statement
// Per second: gaps, gaps that one statement asks about, statements.
constexpr size_t gaps_tended = 20'000, gaps_at_once = 500, statements_tended = 50;

constexpr const char* gone_text =
    "events of the outbox are gone before they were confirmed; another relay leads, or somebody deletes from "
    "muskrat.outbox";
constexpr const char* unseen_text =
    "events that are held are in muskrat.outbox, but not where it is read: a proxy sends queries to a replica that is "
    "behind (let the dsn lead to the primary alone), or somebody holds their rows locked";

std::string where(IdGaps& gaps) {
  std::string text = "id > " + std::to_string(gaps.highest());
  for (const auto& [first, last] : gaps.ranges()) {
    text += first == last ? " OR id = " + std::to_string(first)
                          : " OR id BETWEEN " + std::to_string(first) + " AND " + std::to_string(last);
  }
  return text;
}

}  // namespace

Reader::Page Reader::next(size_t events, int64_t bytes, SteadyTime now) {
  if (at_ == listed_.size()) poll(now);
  std::vector<int64_t> ids;
  bytes = std::min(bytes, fetch_bytes);
  for (; at_ < listed_.size() && ids.size() < events; at_++) {
    if (!ids.empty() && listed_[at_].bytes > bytes) break;
    bytes -= listed_[at_].bytes;
    ids.push_back(listed_[at_].id);
  }
  Page page;
  if (!ids.empty()) {
    page.events = fetch_ids(ids);
    if (page.events.size() != ids.size()) throw Failure(Remedy::reconnect, gone_text);
  }
  page.end = !in_read();
  return page;
}

// Everything comes from one snapshot, low ids first: an event whose key has an earlier one that nobody has read yet
// never comes without it.
void Reader::poll(SteadyTime now) {
  const bool full = now >= next_full_look_;
  listed_.clear();
  at_ = 0;
  // Known rows lie between joined gaps, not in gaps.
  if (full || !gaps_.exact() || !list_with_sizes(now)) list(full, now);
  if (std::exchange(went_back_, false)) db_.require_ids_beyond(gaps_.highest());
}

// False when all it met was known and there is more: gaps that were joined for good may hold such rows.
bool Reader::list_with_sizes(SteadyTime now) {
  const size_t limit = length_.rows();
  mysql::Result rows;
  const size_t met = length_.run([&] {
    rows = db_.ask("SELECT id, OCTET_LENGTH(body) FROM muskrat.outbox WHERE " + where(gaps_) + " ORDER BY id LIMIT " +
                   std::to_string(limit));
    return static_cast<size_t>(rows.rows());
  });
  take(rows, now);
  more_ = met >= limit;
  return !more_ || !listed_.empty();
}

void Reader::list(bool full, SteadyTime now) {
  if (full) db_.require_one_server();
  const int64_t highest = gaps_.highest();
  const size_t limit = settings_.list_limit + known_.size();
  const mysql::Result rows = db_.ask("SELECT id FROM muskrat.outbox WHERE " + (full ? "id > 0" : where(gaps_)) +
                                     " ORDER BY id LIMIT " + std::to_string(limit));
  // Rows deleted and not yet purged are stepped over by a full look: where that takes long it is done less often.
  const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - now);
  std::vector<int64_t> fresh;
  more_ = static_cast<size_t>(rows.rows()) >= limit;
  for (int row = 0; row < rows.rows(); row++) {
    const int64_t id = rows.int64(row, 0);
    if (known_.contains(id)) continue;
    if (fresh.size() == length_.rows()) {
      more_ = true;
      break;
    }
    fresh.push_back(id);
  }
  if (full && !fresh.empty() && fresh.front() < highest) went_back_ = true;
  if (!fresh.empty()) list_sizes(fresh, now);
  // What lies beyond the highest id is asked for in any case.
  if (full && (!more_ || gaps_.highest() > highest)) next_full_look_ = now + std::max(full_look_interval, took * 50);
}

void Reader::list_sizes(const std::vector<int64_t>& ids, SteadyTime now) {
  mysql::Result rows;
  length_.run([&] {
    rows = db_.ask("SELECT id, OCTET_LENGTH(body) FROM muskrat.outbox WHERE id IN (" + id_list(ids) + ") ORDER BY id");
    return ids.size();
  });
  if (static_cast<size_t>(rows.rows()) != ids.size()) throw Failure(Remedy::reconnect, gone_text);
  take(rows, now);
}

void Reader::take(const mysql::Result& rows, SteadyTime now) {
  for (int row = 0; row < rows.rows(); row++) {
    const int64_t id = rows.int64(row, 0);
    if (!known_.insert(id).second) continue;
    if (!gaps_.seen(id, now)) went_back_ = true;
    listed_.push_back({id, rows.int64(row, 1)});
  }
}

std::vector<Outgoing> Reader::fetch_ids(const std::vector<int64_t>& ids) {
  std::vector<Outgoing> out;
  if (ids.empty()) return out;
  mysql::Result rows = db_.ask(std::string("SELECT ") + event_columns + " FROM muskrat.outbox WHERE id IN (" +
                               id_list(ids) + ") ORDER BY id");
  out.resize(static_cast<size_t>(rows.rows()));
  for (int row = 0; row < rows.rows(); row++) {
    Event& event = out[static_cast<size_t>(row)].event;
    event = event_of_row(rows, row);
    event.source = settings_.source;
    event.epoch = settings_.epoch;
  }
  return out;
}

std::vector<Outgoing> Reader::fetch(const std::vector<Held::Item>& items) {
  std::vector<int64_t> ids;
  ids.reserve(items.size());
  for (const Held::Item& item : items) ids.push_back(item.id);
  return fetch_ids(ids);
}

std::vector<Held::Item> Reader::locate(const std::vector<int64_t>& ids) {
  std::vector<Held::Item> items;
  // Many are held for their size.
  for (size_t at = 0; at < ids.size();) {
    const auto some = std::span(ids).subspan(at, std::min(length_.rows(), ids.size() - at));
    length_.run([&] {
      locate_some(some, items);
      return some.size();
    });
    at += some.size();
  }
  return items;
}

void Reader::locate_some(std::span<const int64_t> ids, std::vector<Held::Item>& items) {
  const mysql::Result rows =
      db_.ask("SELECT id, ordering_key, routing_key, OCTET_LENGTH(body) FROM muskrat.outbox WHERE id IN (" +
              id_list(ids) + ")");
  std::unordered_map<int64_t, int> row_of;
  for (int row = 0; row < rows.rows(); row++) row_of[rows.int64(row, 0)] = row;
  std::vector<int64_t> unseen;
  for (int64_t id : ids) {
    auto found = row_of.find(id);
    if (found == row_of.end()) {
      unseen.push_back(id);
      continue;
    }
    items.push_back({id,
                     std::string(rows.text(found->second, 1)),
                     std::string(rows.text(found->second, 2)),
                     "held before a restart",
                     0,
                     rows.int64(found->second, 3),
                     {},
                     false});
  }
  if (db_.missing(unseen).size() != unseen.size()) throw Failure(Remedy::reconnect, unseen_text);
  for (int64_t id : unseen)
    log::warning("relay", "held event is gone from the outbox", {{"source", settings_.source}, {"id", id}});
}

void Reader::gone(const std::vector<int64_t>& ids) {
  for (int64_t id : ids) known_.erase(id);
}

void Reader::tend(SteadyTime now) {
  const auto old = gaps_.old(now - gap_age, gaps_tended, next_gap_);
  const size_t came_to = gaps_.forget_empty(
      old, [this](std::span<const IdGaps::Range> ranges) { return db_.nothing_in(ranges); }, gaps_at_once,
      statements_tended);
  if (came_to < old.size()) {
    next_gap_ = old[came_to].first;
  } else {
    next_gap_ = old.size() < gaps_tended ? 0 : old.back().last + 1;
  }
}

}  // namespace muskrat::mysql_outbox

#include "relay/scheduled/state.hpp"

#include <algorithm>
#include <filesystem>

#include "common/clock.hpp"
#include "common/state_path.hpp"

namespace muskrat {
namespace {

constexpr milliseconds patience{10'000};

constexpr const char* tables = R"(
CREATE TABLE IF NOT EXISTS scheduled (source TEXT PRIMARY KEY, shape TEXT NOT NULL, epoch INTEGER NOT NULL,
  next_seq INTEGER NOT NULL, cursor TEXT NOT NULL, begun_us INTEGER, success_us INTEGER,
  trouble TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent (source TEXT NOT NULL, digest TEXT NOT NULL, place INTEGER NOT NULL,
  PRIMARY KEY (source, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (source TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, place INTEGER NOT NULL,
  PRIMARY KEY (source, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (source TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY (source, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sent_place ON sent (source, place);
)";

}  // namespace

std::string scheduled_state_path(const Settings& relay) { return state_path(relay.text("state")); }

std::unique_ptr<ScheduledState> ScheduledState::open(const std::string& path, const std::string& source,
                                                     const std::string& shape) {
  std::unique_ptr<ScheduledState> state(new ScheduledState(path, source));
  state->make_tables();
  state->db_.prepare("INSERT INTO scheduled VALUES (?1, ?2, ?3, 1, '', NULL, NULL, '') ON CONFLICT DO NOTHING")
      .bind(1, source)
      .bind(2, shape)
      .bind(3, wall_clock_us() / 1'000'000)
      .run();
  state->load();
  state->expect_shape(shape);
  return state;
}

std::unique_ptr<ScheduledState> ScheduledState::find(const std::string& path, const std::string& source) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (error) throw Failure(Remedy::reconnect, "cannot look for the file " + path + ": " + error.message());
    return nullptr;
  }
  std::unique_ptr<ScheduledState> state(new ScheduledState(path, source));
  state->make_tables();
  state->load();
  if (!state->there_) return nullptr;
  return state;
}

ScheduledState::ScheduledState(const std::string& path, std::string source)
    : db_(sqlite::Database::open(path, patience)), source_(std::move(source)) {}

void ScheduledState::make_tables() {
  for (const char* sql : {tables, KnownRows::table, HeldRecords::table, NoticeNumbers::table}) db_.exec(sql);
}

void ScheduledState::load() {
  sqlite::Statement row = db_.prepare(
      "SELECT shape, epoch, cursor, begun_us IS NOT NULL, begun_us, success_us, trouble FROM scheduled WHERE source = "
      "?1");
  there_ = row.bind(1, source_).step();
  if (!there_) return;
  shape_ = row.text(0);
  epoch_ = row.integer(1);
  cursor_ = row.text(2);
  history_ = {};
  if (row.integer(3) != 0) {
    history_.begun_us = row.integer(4);
    history_.success_us = row.integer(5);
  }
  history_.trouble = row.text(6);
  sqlite::Statement top = db_.prepare("SELECT coalesce(max(place), ?2) FROM sent WHERE source = ?1");
  top.bind(1, source_).bind(2, INT64_MIN).step();
  top_place_ = top.integer(0);
}

void ScheduledState::expect_shape(const std::string& shape) const {
  if (shape == shape_) return;
  throw Failure(Remedy::reconnect, "the cursor in " + db_.path() + " is one of (" + shape_ + ") and not of (" + shape +
                                       "); give the source another name to begin anew, or its old columns back");
}

int64_t ScheduledState::reserve(size_t count) {
  sqlite::Transaction transaction(db_);
  sqlite::Statement now = db_.prepare("SELECT next_seq FROM scheduled WHERE source = ?1");
  now.bind(1, source_).step();
  const int64_t first = now.integer(0);
  now.reset();
  db_.prepare("UPDATE scheduled SET next_seq = ?2 WHERE source = ?1")
      .bind(1, source_)
      .bind(2, first + static_cast<int64_t>(count))
      .run();
  transaction.commit();
  return first;
}

void ScheduledState::release(int64_t unused) {
  db_.prepare("UPDATE scheduled SET next_seq = ?2 WHERE source = ?1").bind(1, source_).bind(2, unused).run();
}

std::vector<int64_t> ScheduledState::number(const std::vector<Notice>& notices, int64_t kept_from_us) {
  if (!numbers_) numbers_.emplace(db_, source_);
  std::vector<int64_t> numbers;
  numbers.reserve(notices.size());
  sqlite::Transaction transaction(db_);
  numbers_->forget_before(kept_from_us);
  for (const Notice& each : notices) numbers.push_back(numbers_->number(each.message_id, each.made_us));
  transaction.commit();
  return numbers;
}

void ScheduledState::doubt(const std::vector<KnownRow>& rows_in_doubt) {
  if (rows_in_doubt.empty()) return;
  sqlite::Transaction transaction(db_);
  for (const KnownRow& row : rows_in_doubt) rows().put(row);
  transaction.commit();
}

bool ScheduledState::knows(const std::string& digest) {
  if (!knows_) knows_ = db_.prepare("SELECT 1 FROM sent WHERE source = ?1 AND digest = ?2");
  const bool known = knows_->bind(1, source_).bind(2, digest).step();
  knows_->reset();
  return known;
}

void ScheduledState::settled(std::span<const Settlement* const> pages) {
  if (pages.empty()) return;
  sqlite::Transaction transaction(db_);
  sqlite::Statement add = db_.prepare("INSERT INTO sent VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING");
  sqlite::Statement keep = db_.prepare("INSERT OR REPLACE INTO kept VALUES (?1, ?2, ?3)");
  int64_t top = top_place_;
  std::optional<int64_t> forget_below;
  for (const Settlement* page : pages) {
    for (const Sent& each : page->sent) {
      add.bind(1, source_).bind(2, each.digest).bind(3, each.rank).run();
      top = std::max(top, each.rank);
    }
    for (const KnownRow& row : page->rows) rows().put(row);
    for (const std::string& key : page->gone) rows().remove(key);
    for (const Kept& each : page->kept) keep.bind(1, source_).bind(2, each.name).bind(3, each.text).run();
    for (const HeldRecord& record : page->held) held().add(record);
    for (const int64_t seq : page->released) held().remove(seq);
    if (page->forget_below) forget_below = std::max(forget_below.value_or(INT64_MIN), *page->forget_below);
  }
  if (forget_below) forget(*forget_below);
  const std::string& cursor = pages.back()->cursor;
  if (cursor != cursor_)
    db_.prepare("UPDATE scheduled SET cursor = ?2 WHERE source = ?1").bind(1, source_).bind(2, cursor).run();
  transaction.commit();
  cursor_ = cursor;
  top_place_ = top;
}

void ScheduledState::forget(int64_t below) {
  for (const char* table : {"sent", "note"})
    db_.prepare("DELETE FROM " + std::string(table) + " WHERE source = ?1 AND place < ?2")
        .bind(1, source_)
        .bind(2, below)
        .run();
}

KnownRows& ScheduledState::rows() {
  if (!rows_) rows_.emplace(db_, source_);
  return *rows_;
}

HeldRecords& ScheduledState::held() {
  if (!held_) held_.emplace(db_, source_);
  return *held_;
}

std::string ScheduledState::kept(const std::string& name) {
  if (!kept_) kept_ = db_.prepare("SELECT text FROM kept WHERE source = ?1 AND name = ?2");
  std::string text = kept_->bind(1, source_).bind(2, name).step() ? std::string(kept_->text(0)) : "";
  kept_->reset();
  return text;
}

std::string ScheduledState::note(const std::string& name) {
  sqlite::Statement row = db_.prepare("SELECT text FROM note WHERE source = ?1 AND name = ?2");
  return row.bind(1, source_).bind(2, name).step() ? std::string(row.text(0)) : "";
}

void ScheduledState::set_note(const std::string& name, const std::string& text, int64_t rank) {
  db_.prepare("INSERT OR REPLACE INTO note VALUES (?1, ?2, ?3, ?4)")
      .bind(1, source_)
      .bind(2, name)
      .bind(3, text)
      .bind(4, rank)
      .run();
}

void ScheduledState::succeeded(int64_t begun_us, int64_t now_us) {
  db_.prepare("UPDATE scheduled SET begun_us = ?2, success_us = ?3, trouble = '' WHERE source = ?1")
      .bind(1, source_)
      .bind(2, begun_us)
      .bind(3, now_us)
      .run();
  history_ = {begun_us, now_us, ""};
}

void ScheduledState::failed(const std::string& why) {
  db_.prepare("UPDATE scheduled SET trouble = ?2 WHERE source = ?1").bind(1, source_).bind(2, why).run();
  history_.trouble = why;
}

}  // namespace muskrat

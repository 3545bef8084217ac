#include "relay/sources/postgres_outbox_leader.hpp"

#include <algorithm>
#include <set>

#include "common/log.hpp"

namespace muskrat::postgres_outbox {
namespace {

Cursor cursor_of(const Hello& hello) { return {*hello.last, hello.current, hello.current_id, hello.held}; }

}  // namespace

Leader::Leader(const SourceContext& context, const PostgresOptions& options, Db& db, std::function<Db()> another,
               int64_t term, const Hello& hello, milliseconds lease_asked, OutboxMeters& meters, const Stop& stop)
    : OutboxLeader(context, options, lease_asked, meters, stop),
      options_(options),
      db_(db),
      another_(std::move(another)),
      term_(term),
      reader_(
          db, {name_, hello.epoch, options.window}, cursor_of(hello), meters, [this] { beat(); },
          [this] { beat_aside(); }) {
  if (!hello.held.empty()) load_held(reader_.locate(hello.held));
  if (options_.bell) db_.listen();
}

void Leader::read_page(SteadyTime at) {
  bool polled = !reader_.in_read();
  Reader::Page page = reader_.next(window_.room(), window_.room_bytes());
  aside_.reset();
  bool any = !page.events.empty();
  int64_t last_id = any ? page.events.back().event.seq : 0;
  for (Outgoing& out : page.events) window_.add(page.read, std::move(out), at);
  if (page.end) window_.close_read(page.read);
#ifdef MUSKRAT_BUG_cursor_before_confirm
  if (any) save(at, true);
#endif
  if (any && !page.end) read_up_to_ = std::max(read_up_to_, last_id);
  if (page.end) read_up_to_ = INT64_MAX;
  if (any) {
    pace_.found(at, page.events.size());
  } else if (polled && pace_.empty(at)) {
    db_.doze(term_);
  }
}

// VACUUM FULL and CLUSTER put rows elsewhere: those that are not where they were are looked for. One that is gone holds
// up its key no longer.
std::vector<Outgoing> Leader::fetch_held(const std::vector<Held::Item>& items, bool bodies) {
  std::vector<Outgoing> events = reader_.fetch(items, bodies);
  if (events.size() == items.size()) return events;
  std::set<int64_t> missing;
  for (const Held::Item& item : items) missing.insert(item.id);
  for (const Outgoing& out : events) missing.erase(out.event.seq);
  const std::vector<Held::Item> found = reader_.locate({missing.begin(), missing.end()});
  for (const Held::Item& item : found) {
    held_.moved(item.id, item.place);
    missing.erase(item.id);
  }
  for (const int64_t id : missing) held_.release(id, std::chrono::steady_clock::now());
  for (Outgoing& out : reader_.fetch(found, bodies)) events.push_back(std::move(out));
  return events;
}

// In mid-statement. What is unconfirmed at a stop is sent again by the next one, as after a kill.
void Leader::beat_aside() {
  if (stopping()) throw Failure(Remedy::reconnect, "asked to stop while the outbox is read");
  if (!aside_) aside_.emplace(another_());
  beat();
}

bool Leader::unmarked() const { return window_.position() != saved_position_ || held_.version() != saved_held_; }

int64_t Leader::mark(bool exact) {
  Window::Position position = window_.position();
  uint64_t held = held_.version();
  Cursor cursor = reader_.cursor_at(position, exact);
  cursor.held = held_.ids();
  const int64_t pages = db_.cursor_save(term_, cursor);
  saved_position_ = position;
  saved_held_ = held;
  return pages;
}

void Leader::tend() {
  Tended tended = db_.tend(term_, options_.segment_bytes, options_.retention);
  if (tended.switched || tended.freed) {
    log::info("relay", "outbox rotated", {{"source", name_}, {"switched", tended.switched}, {"freed", tended.freed}});
  }
  bool stuck = !tended.waiting_for.empty();
  meters_.segments_stuck->set(stuck ? 1 : 0);
  if (stuck && stuck_.empty()) {
    log::warning("relay", "outbox cannot rotate", {{"source", name_}, {"why", tended.waiting_for}});
  }
  stuck_ = tended.waiting_for;
}

void Leader::hear(bool readable) {
  if (readable) db_.connection().consume_input();
  if (db_.rung()) pace_.rung(std::chrono::steady_clock::now());
}

void Leader::add_figures(Figures& figures) const {
  figures.emplace_back("term", std::to_string(term_));
  if (!stuck_.empty()) figures.emplace_back("outbox", stuck_);
}

}  // namespace muskrat::postgres_outbox

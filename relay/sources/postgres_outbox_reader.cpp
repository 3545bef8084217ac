#include "relay/sources/postgres_outbox_reader.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "common/log.hpp"
#include "relay/sources/postgres_outbox_rows.hpp"
#include "relay/sources/postgres_outbox_sql.hpp"

namespace muskrat::postgres_outbox {
namespace {

// Bodies that come with a small read; what is beyond is fetched when the window has room.
constexpr int64_t read_bytes = 1 << 20;
// Bodies fetched at a time: they are in memory twice for a moment, as libpq's result and as events. Ahead they lie
// there for longer.
constexpr int64_t fetch_bytes = 2 << 20, ahead_bytes = 512 << 10;
// Rows of a statement between two looks at the clock.
constexpr size_t rows_between_looks = 16'384;
constexpr milliseconds between_beats{1000};

}  // namespace

class Reader::ReadParams {
 public:
  ReadParams(const Reader& reader, milliseconds wait, microseconds gather)
      : from_(std::to_string(reader.last_.xmax)),
        limit_(std::to_string(reader.settings_.read_limit)),
        bytes_(std::to_string(read_bytes)),
        wait_(std::to_string(wait.count())),
        gather_(std::to_string(gather.count())),
        params_{from_, reader.last_.running, limit_, bytes_, wait_, gather_} {}
  ReadParams(const ReadParams&) = delete;
  ReadParams& operator=(const ReadParams&) = delete;
  operator std::span<const pg::Param>() const { return params_; }

 private:
  const std::string from_, limit_, bytes_, wait_, gather_;
  const std::array<pg::Param, 6> params_;
};

Reader::Reader(Db& db, Settings settings, const Cursor& start, Meters& meters, Beat between, Beat within)
    : db_(db),
      settings_(std::move(settings)),
      meters_(meters),
      between_(std::move(between)),
      within_(std::move(within)),
      start_(start) {
  last_ = PgSnapshot::parse(start.last);
  if (!start.current) return;
  // A read that was half confirmed when the last leader stopped: go on behind the confirmed.
  snapshot_ = PgSnapshot::parse(*start.current);
  listed_id_ = start.current_id;
  in_read_ = more_ = true;
  make_durable(false, true);
  note_read();
}

Reader::~Reader() { db_.forget_ahead(); }

void Reader::note_read() {
  number_++;
  if (!taken_.empty() && !taken_.back().events) {
    // Nothing came of the one before: the two count as one, so that idling does not lengthen the list.
    taken_.back().number = number_;
    taken_.back().snapshot = snapshot_.text;
    taken_.back().large = more_;
    return;
  }
  taken_.push_back({number_, last_.text, snapshot_.text, more_, false});
}

Reader::Page Reader::next(size_t events, int64_t bytes) {
  if (!in_read_) begin_read();
  if (at_ == listed_.size() && more_) list_more();
  if (fetched_.empty() && at_ < listed_.size()) fetch_bodies(events, bytes);
  Page page;
  page.read = number_;
  page.events = take_fetched(events, bytes);
  at_ += page.events.size();
  ask_ahead();
  if (!page.events.empty()) taken_.back().events = true;
  page.end = at_ == listed_.size() && !more_;
  if (page.end) {
    in_read_ = false;
    last_ = snapshot_;
  }
  return page;
}

// One is taken however large it is. All at once where they fit, as those do that were fetched for this page.
std::vector<Outgoing> Reader::take_fetched(size_t events, int64_t bytes) {
  size_t end = fetched_at_;
  for (; end < fetched_.size() && end - fetched_at_ < events; end++) {
    const auto size = static_cast<int64_t>(fetched_[end].event.body.size());
    if (size > bytes && end > fetched_at_) break;
    bytes -= size;
  }
  std::vector<Outgoing> taken;
  if (fetched_at_ == 0 && end == fetched_.size()) {
    taken.swap(fetched_);
    return taken;
  }
  const auto from = fetched_.begin() + static_cast<std::ptrdiff_t>(fetched_at_);
  const auto to = fetched_.begin() + static_cast<std::ptrdiff_t>(end);
  taken.assign(std::make_move_iterator(from), std::make_move_iterator(to));
  fetched_at_ = end;
  if (fetched_at_ == fetched_.size()) {
    fetched_.clear();
    fetched_at_ = 0;
  }
  return taken;
}

// ---- a small read ----

void Reader::begin_read() {
  std::vector<Place>().swap(listed_);  // a large read's list is not kept for small ones
  slices_.clear();
  at_ = 0;
  std::optional<pg::Result> answer;
  if (std::exchange(awaiting_, false)) answer = db_.take_ahead();
  if (!answer) answer = read_now();
  const pg::Result& rows = *answer;
  snapshot_ = PgSnapshot::parse(std::string(rows.text(0, 0)));
  bool any = !rows.null(0, 3);
  more_ = any && rows.rows() >= static_cast<int>(settings_.read_limit);
  if (any) {
    // Of a backlog not all transactions are known yet: there the whole log must have been flushed.
    bool flushed = rows.binary_int(0, 1) != 0;
    if (!flushed && !more_) {
      flushed = true;
      for (int row = 0; flushed && row < rows.rows(); row++) flushed = rows.binary_int(row, 7) != 0;
    }
    make_durable(flushed, rows.binary_int(0, 2) != 0);
    for (int row = 0; row < rows.rows(); row++) take_row(rows, row);
  }
  if (any) listed_id_ = rows.binary_int(rows.rows() - 1, 5);
  in_read_ = true;
  note_read();
}

// The server looks at all that is new before it knows the first of it: whoever waits for it is patient.
pg::Result Reader::read_now() {
  const ReadParams params(*this, milliseconds(0), microseconds(0));
  const Db::Patience patience(db_, within_);
  return db_.ask(sql::small_read(), params, pg::Format::binary);
}

void Reader::await(milliseconds longest, microseconds gather) {
  const ReadParams params(*this, longest, gather);
  db_.send_ahead(sql::small_read(), params, pg::Format::binary, within_);
  awaiting_ = true;
}

void Reader::take_row(const pg::Result& rows, int row) {
  int64_t id = rows.binary_int(row, 5);
#ifdef MUSKRAT_BUG_cursor_on_id
  if (id <= newest_id_) return;
  newest_id_ = id;
#endif
  uint64_t place = place_of_binary(rows.binary_int(row, 3), rows.text(row, 4));
  bool with_body = !rows.null(row, 8) && fetched_.size() == listed_.size();
  listed_.push_back({id, place, static_cast<uint32_t>(rows.binary_int(row, 6))});
  if (with_body) decode(rows, row, 8, place, fetched_.emplace_back());
}

void Reader::decode(const pg::Result& rows, int row, int column, uint64_t place, Outgoing& out) const {
  out.place = place;
  read_event(rows, row, column, out.event);
  out.event.source = settings_.source;
  out.event.epoch = settings_.epoch;
}

// `flushed`: a crash of the server would undo nothing of what the read saw. A standby's word needs a commit of our own.
void Reader::make_durable([[maybe_unused]] bool flushed, [[maybe_unused]] bool replicated) {
#ifndef MUSKRAT_BUG_no_barrier
  if (flushed && !replicated) return;
  meters_.barriers_forced->add();
  for (int tries = 0; tries < 3; tries++) {
    if (db_.commit_marker() || !replicated) return;
  }
  throw Failure(Remedy::reconnect,
                "the server's synchronous standbys do not confirm commits (waits are cancelled); "
                "nothing is published until they do");
#endif
}

// ---- a large read ----

// One pass. The first looks through all that the read sees; the later ones leave out the slices of which nothing can
// come into their list, so that a backlog is not looked through once for each list.
void Reader::list_more() {
  listed_.clear();
  at_ = 0;
  first_unlisted_ = 0;
  listed_.reserve(list_room());
  Slice running{0, 0};
  if (last_.running != "{}") list_slice(running, sql::among(last_.running));
  const bool first_pass = slices_.empty();
  for (Slice& slice : slices_) look_through(slice);
  if (first_pass) list_new_slices();
  keep_smallest();
  more_ = first_unlisted_ != 0;
  // What was listed and then gave way to smaller ids is still to come.
  for (Slice& slice : slices_)
    if (more_ && slice.top >= first_unlisted_) slice.least = std::min(slice.least, first_unlisted_);
  std::sort(listed_.begin(), listed_.end(), [](const Place& a, const Place& b) { return a.id < b.id; });
  if (!listed_.empty()) listed_id_ = listed_.back().id;
  taken_.back().large = true;
}

// By events and not by time: where every statement takes long, slices must not be many.
void Reader::list_new_slices() {
  for (uint64_t from = last_.xmax; from < snapshot_.xmax;) {
    Slice slice{from, std::min(from + std::min(slice_, settings_.slice_most), snapshot_.xmax)};
    look_through(slice);
    if (slice.rows < settings_.slice_rows / 2) slice_ = std::min(slice_ * 2, settings_.slice_most);
    if (slice.rows > settings_.slice_rows * 2) slice_ = std::max<uint64_t>(slice_ / 2, 1);
    from = slice.to;
    // A large one is taken in pieces from now on; what is known of it holds for each.
    const uint64_t width = slice.to - slice.from;
    const auto pieces = slice.rows > settings_.slice_rows * 2
                            ? std::min<uint64_t>(slice.rows / settings_.slice_rows, width)
                            : uint64_t{1};
    for (uint64_t n = 0; n < pieces; n++) {
      Slice piece = slice;
      piece.from = slice.from + width * n / pieces;
      piece.to = slice.from + width * (n + 1) / pieces;
      slices_.push_back(piece);
    }
  }
}

// Rows of a slice never change, for the read's snapshot stays: what is known of them holds to the end of the read.
// Where a list is full already, a slice is asked first whether anything of it comes into it.
void Reader::look_through(Slice& slice) {
  slice.top = 0;
  if (first_unlisted_ != 0 && slice.most == INT64_MAX) ask_range(slice, listed_id_ + 1);
  if (slice.least < bound()) {
    list_slice(slice, sql::between(slice.from, slice.to));
    slice.least = INT64_MAX;
    if (slice.most >= bound()) ask_range(slice, first_unlisted_);
  }
  between_();
}

void Reader::ask_range(Slice& slice, int64_t from) {
  const std::string least = std::to_string(from), low = std::to_string(slice.from), high = std::to_string(slice.to);
  const pg::Param params[] = {snapshot_.text, least, low, high};
  const Db::Patience patience(db_, within_);
  const pg::Result range = db_.ask(sql::range(), params);
  slice.least = range.null(0, 0) ? INT64_MAX : range.int64(0, 0);
  slice.most = range.null(0, 1) ? from - 1 : range.int64(0, 1);
  slice.rows = std::max(slice.rows, static_cast<size_t>(range.int64(0, 2)));
}

void Reader::list_slice(Slice& slice, const std::string& transactions) {
  bool whole = bound() == INT64_MAX;
  int64_t most = 0;
  size_t rows = 0;
  SteadyTime next_beat = std::chrono::steady_clock::now() + between_beats;
  const Db::Patience patience(db_, within_);
  const size_t asked = settings_.list_limit + 1;
  const std::string query = sql::list(transactions, snapshot_.text, listed_id_, bound(), asked);
  db_.copy_out(query, [&](const pg::CopyRows::Fields& row) {
    // Rows that come without a pause leave no wait in which to beat.
    if (++rows % rows_between_looks == 0 && std::chrono::steady_clock::now() >= next_beat) {
      within_();
      next_beat = std::chrono::steady_clock::now() + between_beats;
    }
    const int64_t id = pg::binary_integer(*row[2]);
    most = std::max(most, id);
    if (id >= bound()) return;
    slice.top = std::max(slice.top, id);
    const uint64_t place = place_of_binary(pg::binary_integer(*row[0]), *row[1]);
    listed_.push_back({id, place, static_cast<uint32_t>(pg::binary_integer(*row[3]))});
    if (listed_.size() >= list_room()) keep_smallest();
  });
  if (rows == asked) {  // there may be more, with higher ids: so one at least of these gives way
    keep_smallest();
    whole = false;
  }
  if (whole) slice.most = most;
  slice.rows = std::max(slice.rows, rows);
}

// Of all that was seen so far the smallest ids, which come first; the rest is listed again in its turn.
void Reader::keep_smallest() {
  if (listed_.size() <= settings_.list_limit) return;
  auto cut = listed_.begin() + static_cast<std::ptrdiff_t>(settings_.list_limit);
  std::nth_element(listed_.begin(), cut, listed_.end(), [](const Place& a, const Place& b) { return a.id < b.id; });
  first_unlisted_ = cut->id;
  listed_.erase(cut, listed_.end());
}

void Reader::fetch_bodies(size_t events, int64_t bytes) {
  const bool asked = !ahead_.empty();
  const std::vector<Place> places = asked ? std::exchange(ahead_, {}) : places_from(at_, events, bytes);
  std::optional<pg::Result> rows = asked ? db_.take_ahead() : std::nullopt;
  if (!rows) rows = ask(sql::by_place(), places);
  decode_all(*rows, places, fetched_);
  if (fetched_.size() != places.size()) {
    throw Failure(Remedy::reconnect,
                  "events of the outbox are gone before they were confirmed; another relay leads, or "
                  "somebody truncated a segment");
  }
}

// So that the server looks for the next bodies while these are published.
void Reader::ask_ahead() {
  const size_t from = at_ + fetched_.size() - fetched_at_;
  if (!ahead_.empty() || from >= listed_.size()) return;
  ahead_ = places_from(from, std::max<size_t>(settings_.read_limit / 2, 1), ahead_bytes);
  Ctids ctids;
  for (const Place& place : ahead_) ctids.add(place.place);
  db_.send_ahead(sql::by_place(), ctids.params(), pg::Format::binary);
}

// The next of the list, at most so many and so large, but one.
std::vector<Reader::Place> Reader::places_from(size_t from, size_t events, int64_t bytes) const {
  bytes = std::min(bytes, fetch_bytes);
  std::vector<Place> places;
  for (size_t i = from; i < listed_.size() && places.size() < events; i++) {
    if (!places.empty() && listed_[i].bytes > bytes) break;
    bytes -= listed_[i].bytes;
    places.push_back(listed_[i]);
  }
  return places;
}

// ---- by place ----

pg::Result Reader::ask(const std::string& by_place, const std::vector<Place>& places) {
  Ctids ctids;
  for (const Place& place : places) ctids.add(place.place);
  return db_.ask(by_place, ctids.params(), pg::Format::binary);
}

// Into `out`, in the order of `places`; those that are not there are left out.
void Reader::decode_all(const pg::Result& rows, const std::vector<Place>& places, std::vector<Outgoing>& out) const {
  std::vector<size_t> by_id(places.size());
  std::iota(by_id.begin(), by_id.end(), size_t{0});
  const auto id_of = [&](size_t i) { return places[i].id; };
  std::ranges::sort(by_id, {}, id_of);
  out.resize(places.size());
  size_t next = 0;  // rows that lie as they were written come in order of their ids
  for (int row = 0; row < rows.rows(); row++) {
    const int64_t id = rows.binary_int(row, 0);
    if (next == by_id.size() || id_of(by_id[next]) != id)
      next = static_cast<size_t>(std::ranges::lower_bound(by_id, id, {}, id_of) - by_id.begin());
    if (next == by_id.size() || id_of(by_id[next]) != id) continue;  // another event stands there now
    const size_t i = by_id[next++];
    decode(rows, row, 0, places[i].place, out[i]);
  }
  std::erase_if(out, [](const Outgoing& o) { return o.event.message_id.empty(); });
}

std::vector<Outgoing> Reader::fetch(const std::vector<Held::Item>& items, bool bodies) {
  std::vector<Place> places;
  places.reserve(items.size());
  for (const Held::Item& item : items) places.push_back({item.id, item.place, 0});
  std::vector<Outgoing> out;
  if (places.empty()) return out;
  decode_all(ask(bodies ? sql::by_place() : sql::by_place_without_bodies(), places), places, out);
  return out;
}

std::vector<Held::Item> Reader::locate(const std::vector<int64_t>& ids) {
  std::string literal = array_literal(ids);
  pg::Param params[] = {literal};
  const Db::Patience patience(db_, within_);
  pg::Result rows = db_.ask(sql::locate(), params);
  std::unordered_map<int64_t, int> row_of;
  for (int row = 0; row < rows.rows(); row++) row_of[rows.int64(row, 2)] = row;
  std::vector<Held::Item> items;
  for (int64_t id : ids) {
    auto found = row_of.find(id);
    if (found == row_of.end()) {
      log::warning("relay", "held event is gone from the outbox", {{"source", settings_.source}, {"id", id}});
      continue;
    }
    int row = found->second;
    items.push_back({id,
                     std::string(rows.text(row, 3)),
                     std::string(rows.text(row, 4)),
                     "held before a restart",
                     place_of(rows.int64(row, 0), rows.text(row, 1)),
                     rows.int64(row, 5),
                     {},
                     false});
  }
  return items;
}

// ---- the cursor ----

Cursor Reader::cursor_at(const Window::Position& position, bool exact) {
#ifdef MUSKRAT_BUG_cursor_before_confirm
  exact = true;
#endif
  while (!taken_.empty() && taken_.front().number < position.read) {
    start_ = {taken_.front().snapshot, std::nullopt, 0, {}};
    taken_.pop_front();
  }
  if (position.read == 0 || taken_.empty() || taken_.front().number != position.read) return start_;
  const Taken& read = taken_.front();
  if (position.closed) {
    start_ = {read.snapshot, std::nullopt, 0, {}};
    taken_.pop_front();
    return start_;
  }
  if ((read.large || exact) && position.id > 0) return {read.last, read.snapshot, position.id, {}};
  return {read.last, std::nullopt, 0, {}};
}

}  // namespace muskrat::postgres_outbox

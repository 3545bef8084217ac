#include "relay/scheduled/run.hpp"

#include <algorithm>
#include <utility>

#include "common/clock.hpp"
#include "common/log.hpp"
#include "common/metrics.hpp"

namespace muskrat {
namespace {

constexpr milliseconds tick{1000}, settle_interval{100}, watch_interval{100};
// How long a run that is asked to stop, or has failed, waits for what it has sent.
constexpr milliseconds last_wait{3000};
constexpr size_t most_underway = 16;

metrics::Counter* count(const std::string& source, const std::string& what, const std::string& help) {
  return &metrics::counter("muskrat_scheduled_" + what + "_total", help, {{"source", source}});
}

}  // namespace

struct Run::Meters {
  explicit Meters(const std::string& source)
      : records(count(source, "records", "Records read.")),
        repeated(count(source, "repeated", "Records read again whose content was sent already.")),
        filtered(count(source, "filtered", "Records that the mapping leaves out.")),
        deleted(count(source, "deleted", "Rows that were found to be deleted, and told.")) {}
  metrics::Counter *records, *repeated, *filtered, *deleted;
};

Run::Run(const Surroundings& around, ScheduledState* state, RunOrder order)
    : around_(around),
      state_(state),
      order_(std::move(order)),
      cursor_(state == nullptr ? "" : state->cursor()),
      shape_(around.component),
      meters_(std::make_unique<Meters>(around.component.name)) {
  if (state_ != nullptr) counts_.holding = state_->held().count();
}

Run::~Run() = default;

void Run::drive(const std::function<void(Run&)>& read) {
  try {
    if (retry_held()) read(*this);
  } catch (const Failure&) {
    // What was sent before it failed counts; where even that cannot be settled, the first failure says more.
    try {
      settle_by(Deadline::in(last_wait));
      give_back_numbers();
    } catch (const Failure&) {  // NOLINT(bugprone-empty-catch)
    }
    throw;
  }
  settle();
  give_back_numbers();
}

bool Run::deliver(Page&& page) {
  Prepared prepared = prepare(page);
  if (!page.records.empty()) ++counts_.pages;
  if (order_.dry_run) {
    count_settled(prepared.underway);
    // Two new rows of one key are found within a page only: nothing is kept, here and in memory.
    if (page.against != nullptr) page.against->settled(prepared.underway.settlement.rows);
    if (!cursor_stays_) cursor_ = std::move(page.cursor);
    watch("");
    return !stop().requested();
  }
  number(prepared);
  state_->doubt(prepared.doubts);
  if (!send(std::move(prepared))) return false;
  while (underway_.size() >= most_underway && !stop().requested()) {
    publisher_->wait(Deadline::in(tick));
    settle_confirmed(false);
  }
  watch("");
  return !stop().requested();
}

bool Run::settle() { return settle_by(std::nullopt); }

bool Run::settle_by(std::optional<Deadline> end) {
  bool stopping = false;
  for (settle_confirmed(true); !underway_.empty() && !(end && end->passed()); settle_confirmed(true)) {
    if (stop().requested() && !stopping) end = end.value_or(Deadline::distant()).sooner(Deadline::in(last_wait));
    stopping = stop().requested();
    publisher_->wait(end.value_or(Deadline::in(tick)), stopping);
  }
  return underway_.empty() && !stop().requested();
}

Comparison& Run::compare(bool baseline, std::vector<std::string> beside_key) {
  deletion_.emplace(around_.component);
  return comparison_.emplace(state_ == nullptr ? nullptr : &state_->rows(),
                             Comparison::Setting{cursor_, epoch(), baseline && cursor_.empty(), std::move(beside_key)});
}

Run::Prepared Run::prepare(Page& page) {
  Prepared prepared;
  prepared.underway.against = page.against;
  ScheduledState::Settlement& settlement = prepared.underway.settlement;
  settlement.cursor = cursor_stays_ ? cursor_ : page.cursor;
  if (!cursor_stays_) settlement.forget_below = page.forget_below;
  settlement.kept = std::move(page.kept);
  settlement.rows.reserve(page.records.size());  // `told` points into it
  std::optional<sqlite::Reading> reading;
  if (state_ != nullptr) state_->begin_reading(reading);
  const int64_t captured_us = page.captured_us.value_or(wall_clock_us());
  for (const Record& record : page.records) {
    ++counts_.read;
    meters_->records->add();
    try {
      add_or_hold(page, record, captured_us, prepared);
    } catch (const Failure& failure) {
      throw Failure(failure.remedy(), "record " + std::to_string(counts_.read) + " of the run: " + failure.what());
    }
  }
  add_gone(page, captured_us, prepared);
  prepared.underway.events = static_cast<int64_t>(prepared.events.size());
  return prepared;
}

void Run::Prepared::add(Event&& event) {
  event.seq = numbers++;
  events.push_back(std::move(event));
}

void Run::add_or_hold(const Page& page, const Record& record, int64_t captured_us, Prepared& to) {
  try {
    page.against != nullptr ? add_compared(page, record, captured_us, to) : add(page, record, captured_us, to);
  } catch (const BadRecord& bad) {
    hold(record, captured_us, bad, to);
  }
}

bool Run::hold(const Record& record, int64_t captured_us, const BadRecord& bad, Prepared& to) {
  if (settings().text("on_bad_record") == "fail") throw bad;
  if (state_ != nullptr && state_->held().has(record)) {
    ++counts_.repeated;
    meters_->repeated->add();
    return false;
  }
  const int64_t most = settings().integer("held_max");
  if (counts_.holding + held_underway_ >= most)
    throw Failure(Remedy::reconnect, std::string(bad.what()) + "; with it more than " + std::to_string(most) +
                                         " records would be held (held_max): mend the mapping or the source; muskrat "
                                         "held list " +
                                         name() + " shows those that are");
  ++held_underway_;
  to.underway.settlement.held.push_back(
      {to.numbers++, record, captured_us, wall_clock_us(), shape_.ordering_key(record), bad.what()});
  return true;
}

// What is mended since is told first: it is older than what is to be read. False when asked to stop.
bool Run::retry_held() {
  std::vector<HeldRecord> some;
  for (int64_t behind = 0; state_ != nullptr && !(some = state_->held().behind(behind)).empty();
       behind = some.back().seq) {
    Prepared prepared;
    prepared.underway.settlement.cursor = cursor_;
    for (const HeldRecord& held : some) retry(held, prepared);
    prepared.underway.events = prepared.underway.released = static_cast<int64_t>(prepared.events.size());
    if (prepared.underway.settlement.released.empty()) continue;
    if (order_.dry_run) {
      count_settled(prepared.underway);
    } else if (!send(std::move(prepared))) {
      return false;
    }
  }
  return settle();
}

void Run::retry(const HeldRecord& held, Prepared& to) {
  try {
    auto event = shape_.event_of(held.record, shape_.read(held.record), epoch(), held.captured_us);
    to.underway.settlement.released.push_back(held.seq);
    if (!event) return filtered();
    event->seq = held.seq;
    to.events.push_back(std::move(*event));
  } catch (const BadRecord& bad) {
    if (held.why != bad.what() && !order_.dry_run) state_->held().set_why(held.seq, bad.what());
  }
}

void Run::add(const Page& page, const Record& record, int64_t captured_us, Prepared& to) {
  if (!page.seen.empty()) remember_row(page, record, to);
  if (page.forget_below && known(page, record, to)) {
    ++counts_.repeated;
    meters_->repeated->add();
    return;
  }
  auto event = shape_.event_of(record, shape_.read(record), epoch(), captured_us);
  event ? to.add(std::move(*event)) : filtered();
}

void Run::remember_row(const Page& page, const Record& record, Prepared& to) {
  std::string key = shape_.read(record).key;
  ScheduledState::Settlement& settlement = to.underway.settlement;
  if (record.op == Op::remove) {
    settlement.gone.push_back(std::move(key));
    ++to.underway.deleted;
  } else {
    settlement.rows.push_back({std::move(key), 0, page.seen, KnownRow::known_before});
  }
}

// Whether it was sent; from now on it is known.
bool Run::known(const Page& page, const Record& record, Prepared& to) {
  const bool to_keep = cursor_stays_ || record.rank >= *page.forget_below;
  const bool to_ask = state_ != nullptr && !order_.since && state_->may_know(record.rank);
  if (!to_keep && !to_ask) return false;
  std::string digest = digest_of(record);
  if (to_ask && state_->knows(digest)) return true;
  if (!to_keep) return false;
  if (!digests_underway_.insert(digest).second) return true;
  to.underway.settlement.sent.push_back({std::move(digest), record.rank});
  return false;
}

void Run::add_compared(const Page& page, const Record& record, int64_t captured_us, Prepared& to) {
  const RecordShape::Read read = shape_.read(record);
  auto sight = page.against->see(read.key, digest_of(record));
  if (!sight) {
    ++counts_.repeated;
    meters_->repeated->add();
    return;
  }
  KnownRow& row = to.underway.settlement.rows.emplace_back(std::move(sight->row));
  if (!sight->told) return;
  const Record version{record.body, sight->version, 0};
  const int64_t number = to.numbers;
  try {
    auto event = shape_.event_of(version, read, epoch(), captured_us);
    if (event) {
      to.doubts.push_back(Comparison::in_doubt({row.key, row.slot, row.digest, number}, version.version));
      to.add(std::move(*event));
    }
  } catch (const BadRecord& bad) {
    if (!hold(version, captured_us, bad, to)) return;
  }
  // A row that is held counts as told, with the number that its event will have.
  if (to.numbers > number) {
    row.seq = number;
    to.told.push_back(&row);
    return;
  }
  filtered();
  // Whoever was told of it before is told when it is deleted.
  if (sight->fresh) row.seq = KnownRow::left_out;
}

void Run::add_gone(const Page& page, int64_t captured_us, Prepared& to) {
  for (const KnownRow& row : page.gone) {
    const bool told = row.seq != KnownRow::left_out && !page.against->setting().baseline;
    if (told && !add_deletion(page, row, captured_us, to)) continue;
    to.underway.settlement.gone.push_back(row.key);
  }
}

// False where no event can be made of it: of the row none could be made either, so nobody was told of it. It stays
// known, for what is held of it may be told when the mapping is mended, and its deletion then too.
bool Run::add_deletion(const Page& page, const KnownRow& row, int64_t captured_us, Prepared& to) {
  const std::string version = page.against->version_of_deletion(row);
  try {
    Event event = deletion_->event_of(row.key, version, page.against->setting().beside_key, epoch(), captured_us);
    to.doubts.push_back(Comparison::in_doubt({row.key, row.slot, "", to.numbers}, version));
    to.add(std::move(event));
  } catch (const BadRecord& bad) {
    if (settings().text("on_bad_record") == "fail") throw;
    log::warning("relay", "deletion left out, no event can be made of it", {{"source", name()}, {"why", bad.what()}});
    filtered();
    return false;
  }
  ++to.underway.deleted;
  return true;
}

void Run::filtered() {
  ++counts_.filtered;
  meters_->filtered->add();
}

// Few and large reservations: each is a write to the disk. A short run has one, of just what it needs.
void Run::number(Prepared& prepared) {
  const int64_t count = prepared.numbers;
  if (count > numbers_) {
    const int64_t more = next_number_ == 0 ? count : 16 * count;
    const int64_t first = state_->reserve(static_cast<size_t>(more));
    if (numbers_ == 0) next_number_ = first;
    numbers_ += more;
  }
  for (Event& event : prepared.events) event.seq += next_number_;
  for (HeldRecord& held : prepared.underway.settlement.held) held.seq += next_number_;
  for (KnownRow* row : prepared.told) row->seq += next_number_;
  for (KnownRow& row : prepared.doubts) row.seq += next_number_;
  next_number_ += count;
  numbers_ -= count;
}

void Run::give_back_numbers() {
  if (numbers_ > 0) state_->release(next_number_);
  numbers_ = 0;
}

bool Run::send(Prepared&& prepared) {
  Underway underway = std::move(prepared.underway);
  if (!publisher_ && !prepared.events.empty())
    publisher_ = std::make_unique<PagePublisher>(around_.config, name(), settings().bytes("max_body"), stop(),
                                                 [this](const std::string& trouble) { watch(trouble); });
  if (publisher_) {
    underway.page = publisher_->add(std::move(prepared.events));
    if (underway.page == 0) return false;
  }
  for (const ScheduledState::Kept& kept : underway.settlement.kept) {
    KeptUnderway& known = kept_underway_[kept.name];
    known.text = kept.text;
    ++known.pages;
  }
  underway_.push_back(std::move(underway));
  settle_confirmed(false);
  return true;
}

void Run::count_settled(const Underway& page) {
  counts_.sent += page.events;
  counts_.deleted += page.deleted;
  counts_.released += page.released;
  const auto& held = page.settlement.held;
  for (const HeldRecord& each : held) {
    ++counts_.held_why[each.why];
    if (!order_.dry_run)
      log::warning("relay", "record held", {{"source", name()}, {"seq", each.seq}, {"why", each.why}});
  }
  counts_.held += std::ssize(held);
  held_underway_ -= std::ssize(held);
  counts_.holding += std::ssize(held) - std::ssize(page.settlement.released);
  meters_->deleted->add(static_cast<double>(page.deleted));
}

// Writing down takes a while: several pages in one go, unless it is to be now.
void Run::settle_confirmed(bool now) {
  const uint64_t confirmed = publisher_ ? publisher_->confirmed() : 0;
  const auto is_confirmed = [&](const Underway& page) { return page.page <= confirmed; };
  const auto end = std::find_if_not(underway_.begin(), underway_.end(), is_confirmed);
  if (end == underway_.begin()) return;
  const SteadyTime time = std::chrono::steady_clock::now();
  if (!now && underway_.size() < most_underway && time - settled_at_ < settle_interval) return;
  std::vector<const ScheduledState::Settlement*> pages;
  for (auto page = underway_.begin(); page != end; ++page) pages.push_back(&page->settlement);
  state_->settled(pages);  // where this fails they are still underway
  settled_at_ = time;
  for (auto page = underway_.begin(); page != end; ++page) {
    count_settled(*page);
    for (const ScheduledState::Sent& sent : page->settlement.sent) digests_underway_.erase(sent.digest);
    for (const ScheduledState::Kept& kept : page->settlement.kept) forget_underway(kept.name);
    if (page->against != nullptr) page->against->settled(page->settlement.rows);
  }
  cursor_ = pages.back()->cursor;
  underway_.erase(underway_.begin(), end);
}

void Run::forget_underway(const std::string& kept) {
  const auto found = kept_underway_.find(kept);
  if (--found->second.pages == 0) kept_underway_.erase(found);
}

std::string Run::kept(const std::string& name) const {
  if (const auto found = kept_underway_.find(name); found != kept_underway_.end()) return found->second.text;
  return state_ == nullptr ? "" : state_->kept(name);
}

std::vector<KnownRow> Run::known_behind(const std::string& key, size_t most) {
  if (state_ == nullptr || order_.dry_run) return {};
  return state_->rows().behind(key, most);
}

std::string Run::note(const std::string& name) const {
  return state_ == nullptr || order_.since ? "" : state_->note(name);
}

void Run::set_note(const std::string& name, const std::string& text, int64_t rank) {
  if (!order_.dry_run) state_->set_note(name, text, rank);
}

bool Run::pace(int64_t records_per_second) {
  const auto due = counts_.started + milliseconds(counts_.read * 1000 / records_per_second);
  return rest(std::chrono::ceil<milliseconds>(due - std::chrono::steady_clock::now()));
}

bool Run::rest(milliseconds span, const std::string& why) {
  resting_ = why;
  const Deadline end = Deadline::in(span);
  for (watch(""); !end.passed() && !stop().requested(); watch("")) {
    settle_confirmed(true);
    const Deadline wake = end.sooner(Deadline::in(tick));
    if (underway_.empty()) {
      if (publisher_) publisher_->pump();  // the broker takes a connection without heartbeats for a dead one
      stop().wait(milliseconds(wake.poll_timeout()));
    } else {
      publisher_->wait(wake);
    }
  }
  resting_.clear();
  return !stop().requested();
}

void Run::beat() {
  if (publisher_) publisher_->pump();
  settle_confirmed(false);
  watch("");
}

// Of those that come close upon each other one is enough, as long as they say the same. Where the publisher has no
// trouble, what the run rests for is the news.
void Run::watch(const std::string& from_publisher) {
  const std::string& trouble = from_publisher.empty() ? resting_ : from_publisher;
  const SteadyTime now = std::chrono::steady_clock::now();
  if (!around_.watch || (trouble == watched_ && now - watched_at_ < watch_interval)) return;
  watched_at_ = now;
  watched_ = trouble;
  around_.watch(counts_, trouble);
}

}  // namespace muskrat

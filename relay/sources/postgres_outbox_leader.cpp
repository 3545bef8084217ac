#include "relay/sources/postgres_outbox_leader.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <poll.h>

#include "common/log.hpp"

namespace muskrat::postgres_outbox {
namespace {

constexpr milliseconds save_interval{100};
constexpr milliseconds tend_interval{1000};
constexpr milliseconds report_interval{1000};
constexpr milliseconds blocked_drain{3000};  // a stop under the broker's alarm takes 5 s at most

SteadyTime now() { return std::chrono::steady_clock::now(); }

bool readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return poll(&entry, 1, 0) > 0;
}

Cursor cursor_of(const Hello& hello) { return {*hello.last, hello.current, hello.current_id, hello.held}; }

}  // namespace

Leader::Leader(const SourceContext& context, const Options& options, Db& db, int64_t term, const Hello& hello,
               milliseconds lease_asked, Meters& meters, const Stop& stop)
    : context_(context),
      options_(options),
      db_(db),
      meters_(meters),
      stop_(stop),
      name_(context.component.name),
      board_name_("source " + context.component.name),
      term_(term),
      lease_(options.lease_time),
      held_(options.held_max, options.held_retry),
      window_({options.window, options.window_bytes, options.nack_tries, milliseconds(100), milliseconds(5000)}, held_),
      publisher_(context.config, {name_, options.max_body, options.lease_time / 4, options.lease_time / 4}, window_,
                 meters),
      reader_(db, {name_, hello.epoch, options.window}, cursor_of(hello), meters, [this] { beat(); }),
      pace_(options.poll_interval, options.notify) {
  lease_.renewed(lease_asked);
  load_held(hello.held);
  if (options_.notify) db_.listen();
}

void Leader::load_held(const std::vector<int64_t>& ids) {
  if (ids.empty()) return;
  // Due at once: what held them may be mended.
  for (Held::Item& item : reader_.locate(ids)) held_.add(std::move(item), now() - options_.held_retry);
  log::warning("relay", "events are held", {{"source", name_}, {"count", static_cast<int64_t>(held_.size())}});
}

void Leader::run() {
  meters_.leader->set(1);
  while (!stop_.requested()) {
    step();
    wait(&stop_);
  }
  drain();
}

void Leader::step() {
  context_.board.beat(board_name_);
  save_when_due(now());
  publisher_.connect(stop_);
  publisher_.publish([this] { return lease_.may_publish(boottime()); });
  settle_accounts();
  fill(now());
  publisher_.publish([this] { return lease_.may_publish(boottime()); });
  settle_accounts();
  tend_when_due(now());
  report_when_due(now());
}

// ---- reading ----

bool Leader::may_read() const {
  // A quarter of the window at a time: fewer, larger pages.
  size_t worth = window_.empty() ? 1 : std::max<size_t>(options_.window / 4, 1);
  return !draining_ && !held_.full() && window_.room() >= worth && window_.room_bytes() > 0;
}

void Leader::fill(SteadyTime at) {
  retry_held(at);
  while (may_read() && (reader_.in_read() || pace_.due(now()))) {
    read_page(now());
    if (!reader_.in_read()) break;  // publish before the next poll
  }
}

void Leader::read_page(SteadyTime at) {
  bool polled = !reader_.in_read();
  Reader::Page page = reader_.next(window_.room(), window_.room_bytes());
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
    if (pace_.found(at)) db_.doze(term_, false);
  } else if (polled && pace_.empty(at)) {
    db_.doze(term_, true);
  }
}

void Leader::retry_held(SteadyTime at) {
  if (held_.size() == 0 || !publisher_.connected() || publisher_.blocked() || draining_) return;
  // What came before a held event may have been confirmed without the cursor's having moved: it is read and published
  // again, and must not come after it.
  int64_t up_to = held_.full() ? INT64_MAX : read_up_to_;
  if (!held_.due(at, up_to)) return;
  std::vector<Held::Item> due = held_.take_due(at, 100, up_to);
  std::vector<Outgoing> events = reader_.fetch(due);
  for (const Held::Item& item : due) {
    auto found = std::find_if(events.begin(), events.end(), [&](const Outgoing& o) { return o.event.seq == item.id; });
    if (found == events.end()) held_.try_failed(item.id, "its row cannot be read", at);
  }
  for (Outgoing& out : events) window_.add_retry(std::move(out));
}

// ---- what the broker said ----

void Leader::settle_accounts() {
  for (const Window::Fate& fate : window_.take_fates()) {
    using Kind = Window::Fate::Kind;
    if (fate.kind == Kind::nacked) meters_.nacked->add();
    if (fate.kind == Kind::returned) meters_.returned->add();
    if (fate.kind == Kind::held) {
      log::warning("relay", "event held",
                   {{"source", name_}, {"id", fate.id}, {"routing_key", fate.routing_key}, {"why", fate.why}});
    }
    if (fate.kind == Kind::released) log::info("relay", "held event published", {{"source", name_}, {"id", fate.id}});
    if (fate.kind != Kind::confirmed && fate.kind != Kind::released) continue;
    confirmed_++;
    meters_.confirmed->add();
    meters_.latency->observe(static_cast<double>(wall_clock_us() - fate.captured_us) / 1e6);
  }
}

// ---- the cursor and the lease, which are one row ----

void Leader::save_when_due(SteadyTime at) {
  bool changed = window_.position() != saved_position_ || held_.version() != saved_held_;
  if (lease_.renewal_due(boottime()) || (changed && at >= next_save_)) save(at, false);
}

void Leader::save(SteadyTime at, bool exact) {
  milliseconds asked = boottime();
  Window::Position position = window_.position();
  uint64_t held = held_.version();
  Cursor cursor = reader_.cursor_at(position, exact);
  cursor.held = held_.ids();
  db_.cursor_save(term_, cursor);
  lease_.renewed(asked);
  meters_.cursor_saves->add();
  saved_position_ = position;
  saved_held_ = held;
  // Under somebody's long transaction old versions of the row pile up and each save gets slower: so save less often.
  auto took = std::chrono::duration_cast<milliseconds>(now() - at);
  next_save_ = at + std::clamp(took * 20, save_interval, milliseconds(options_.lease_time / 6));
}

void Leader::beat() {
  context_.board.beat(board_name_);
  publisher_.wait(Deadline::in(milliseconds(0)), nullptr, -1);
  if (!lease_.renewal_due(boottime())) return;
  milliseconds asked = boottime();
  db_.lease_beat(term_);
  lease_.renewed(asked);
}

void Leader::tend_when_due(SteadyTime at) {
  if (at < next_tend_) return;
  next_tend_ = at + tend_interval;
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

// ---- being seen ----

std::string Leader::state() const {
  if (draining_) return "draining";
  if (publisher_.blocked()) return "blocked";
  if (!publisher_.connected()) return "connecting";
  return held_.full() ? "stopped" : "leading";
}

std::string Leader::trouble() const {
  if (!publisher_.trouble().empty()) return publisher_.trouble();
  if (held_.full()) {
    return std::to_string(held_.size()) +
           " events are held, as many as held_max allows: nothing more is read until the "
           "broker takes them (the first: " +
           held_.items().front().why + ")";
  }
  return "";
}

void Leader::report_when_due(SteadyTime at) {
  if (at < next_report_) return;
  next_report_ = at + report_interval;
  std::string word = state();
  context_.board.set(board_name_, word == "leading" || word == "draining", word, trouble());
  if (held_.full() != full_logged_) {
    full_logged_ = held_.full();
    if (full_logged_) log::error("relay", "source stopped", {{"source", name_}, {"why", trouble()}});
  }
  int64_t oldest = window_.oldest_captured_us();
  double lag = oldest == 0 ? 0 : std::max(0.0, static_cast<double>(wall_clock_us() - oldest) / 1e6);
  auto waiting = window_.waiting() + reader_.listed();
  meters_.lag->set(lag);
  meters_.waiting->set(static_cast<double>(waiting));
  meters_.in_flight->set(static_cast<double>(window_.in_flight()));
  meters_.held->set(static_cast<double>(held_.size()));
  std::vector<std::pair<std::string, std::string>> figures = {
      {"events_per_s", std::to_string(confirmed_ - std::exchange(confirmed_before_, confirmed_))},
      {"lag", fmt::format("{:.1f} s", lag)},
      {"confirmed", std::to_string(confirmed_)},
      {"in_flight", std::to_string(window_.in_flight())},
      {"waiting", std::to_string(waiting)},
      {"held", std::to_string(held_.size())},
      {"term", std::to_string(term_)}};
  if (!stuck_.empty()) figures.emplace_back("outbox", stuck_);
  if (held_.size() > 0) figures.emplace_back("first_held", std::to_string(held_.items().front().id));
  context_.board.set_figures(board_name_, std::move(figures));
}

// ---- waiting ----

Deadline Leader::wake_up(SteadyTime at) {
  bool can_send =
      publisher_.connected() && !publisher_.blocked() && !publisher_.full() && lease_.may_publish(boottime());
  if (can_send && window_.next(at) != nullptr) return Deadline::at(at);
  if (may_read() && reader_.in_read()) return Deadline::at(at);
  SteadyTime wake = std::min(next_tend_, at + std::max(lease_.due_in(boottime()), milliseconds(0)));
  if (may_read()) wake = std::min(wake, pace_.next());
  if (!publisher_.connected()) wake = std::min(wake, publisher_.next_attempt());
  if (window_.position() != saved_position_ || held_.version() != saved_held_) wake = std::min(wake, next_save_);
  if (auto due = window_.next_due(); due && can_send) wake = std::min(wake, *due);
  return Deadline::at(wake);
}

void Leader::wait(const Stop* stop) {
  int fd = db_.connection().socket();
  publisher_.wait(wake_up(now()), stop, fd);
  settle_accounts();
  if (readable(fd)) db_.connection().consume_input();
  if (db_.rung()) pace_.rung(now());
}

// ---- the end ----

bool Leader::drained() {
  bool sendable = window_.next(now()) != nullptr;
  return (window_.empty() || !sendable) && window_.in_flight() == 0;
}

// Sends what is read, so that nothing unsent lies before something confirmed; waits for the answers; saves.
void Leader::drain() {
  draining_ = true;
  log::info("relay", "draining",
            {{"source", name_}, {"unsettled", static_cast<int64_t>(window_.in_flight() + window_.waiting())}});
  Deadline deadline = Deadline::in(options_.drain_timeout);
  while (publisher_.connected() && !deadline.passed()) {
    if (publisher_.blocked()) deadline = deadline.sooner(Deadline::in(blocked_drain));
    window_.hold_backing_off(now());
    publisher_.publish([this] { return lease_.may_publish(boottime()); });
    if (drained()) break;
    next_report_ = now();
    report_when_due(now());
    save_when_due(now());
    wait(nullptr);
  }
  settle_accounts();
  save(now(), true);
  db_.lease_release(term_);
  publisher_.close(Deadline::in(milliseconds(1000)));
  log::info("relay", "stopped", {{"source", name_}, {"confirmed", confirmed_}});
}

}  // namespace muskrat::postgres_outbox

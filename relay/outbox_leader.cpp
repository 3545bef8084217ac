#include "relay/outbox_leader.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <poll.h>

#include "common/log.hpp"

namespace muskrat {
namespace {

constexpr milliseconds save_interval{100};
constexpr int saves_apart = 60;      // in times of what one takes: nothing is sent meanwhile
constexpr int64_t usual_pages = 16;  // of old marks
constexpr milliseconds tend_interval{1000};
constexpr milliseconds report_interval{1000};
// For the broker, however short the lease is: who loses it meanwhile sends nothing that the next leader does not.
constexpr milliseconds least_connect_limit{10'000}, least_send_limit{10'000};
constexpr milliseconds blocked_drain{3000};  // a stop under the broker's alarm takes 5 s at most
// Held events fetched at a time, and their bodies, which are in memory twice for a moment.
constexpr size_t held_fetch_events = 100;
constexpr int64_t held_fetch_bytes = 2 << 20;

SteadyTime now() { return std::chrono::steady_clock::now(); }

bool readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return poll(&entry, 1, 0) > 0;
}

}  // namespace

OutboxLeader::Options OutboxLeader::Options::of(const Settings& settings) {
  Options o;
  o.window = static_cast<size_t>(settings.integer("window"));
  o.window_bytes = settings.bytes("window_bytes");
  o.max_body = settings.bytes("max_body");
  o.poll_interval = settings.duration("poll_interval");
  o.lease_time = settings.duration("lease_time");
  o.drain_timeout = settings.duration("drain_timeout");
  o.held_retry = settings.duration("held_retry");
  o.held_max = static_cast<size_t>(settings.integer("held_max"));
  o.nack_tries = static_cast<int>(settings.integer("nack_tries"));
  return o;
}

OutboxLeader::OutboxLeader(const SourceContext& context, const Options& options, milliseconds lease_asked,
                           OutboxMeters& meters, const Stop& stop)
    : meters_(meters),
      name_(context.component.name),
      board_name_("source " + context.component.name),
      held_(options.held_max, options.held_retry),
      window_({options.window, options.window_bytes, options.nack_tries, milliseconds(100), milliseconds(5000)}, held_),
      pace_(options.poll_interval, options.bell),
      context_(context),
      options_(options),
      stop_(stop),
      lease_(options.lease_time),
      publisher_(context.config,
                 {name_, options.max_body, std::max(options.lease_time / 4, least_connect_limit),
                  std::max(options.lease_time / 4, least_send_limit)},
                 window_, meters) {
  lease_.renewed(lease_asked);
}

void OutboxLeader::load_held(std::vector<Held::Item>&& items) {
  if (items.empty()) return;
  // Due at once: what held them may be mended.
  for (Held::Item& item : items) held_.add(std::move(item), now() - options_.held_retry);
  log::warning("relay", "events are held", {{"source", name_}, {"count", static_cast<int64_t>(held_.size())}});
}

void OutboxLeader::run() {
  meters_.leader->set(1);
  while (!stop_.requested()) {
    step();
    wait(&stop_);
  }
  drain();
}

void OutboxLeader::step() {
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

bool OutboxLeader::may_read() const {
  // A quarter of the window at a time: fewer, larger pages.
  size_t worth = window_.empty() ? 1 : std::max<size_t>(options_.window / 4, 1);
  return !draining_ && !held_.full() && window_.room() >= worth && window_.room_bytes() > 0;
}

void OutboxLeader::fill(SteadyTime at) {
  retry_held(at);
  while (may_read() && read_due(now())) {
    read_page(now());
    if (!in_read()) break;  // publish before the next poll
  }
}

bool OutboxLeader::read_due(SteadyTime at) const {
  if (in_read() || answered()) return true;
  return !awaiting() && !pace_.waits_in_server() && pace_.due(at);
}

// Retries go out one at a time: more are fetched when those that are here are over. One is taken however full the
// window is: where it is full of events that wait for a held one, nothing else frees it.
void OutboxLeader::retry_held(SteadyTime at) {
  if (held_.size() == 0 || !publisher_.connected() || publisher_.blocked() || draining_) return;
  // What came before a held event may have been confirmed without the cursor's having moved: it is read and published
  // again, and must not come after it.
  int64_t up_to = held_.full() ? INT64_MAX : read_up_to_;
  while (!window_.has_retries() && held_.due(at, up_to)) {
    const int64_t bytes = std::min(window_.room_bytes(), held_fetch_bytes);
    try_held(held_.take_due(at, {held_fetch_events, bytes, options_.max_body, up_to}), at);
  }
}

// Of those that are too large it is only seen whether somebody has deleted them.
void OutboxLeader::try_held(std::vector<Held::Item>&& items, SteadyTime at) {
  const auto large = std::stable_partition(items.begin(), items.end(),
                                           [this](const Held::Item& item) { return item.bytes <= options_.max_body; });
  const std::vector<Held::Item> too_large(std::make_move_iterator(large), std::make_move_iterator(items.end()));
  items.erase(large, items.end());
  std::vector<Outgoing> events;
  if (!items.empty()) events = fetch_held(items, true);
  for (const Held::Item& item : items) {
    auto found = std::find_if(events.begin(), events.end(), [&](const Outgoing& o) { return o.event.seq == item.id; });
    if (found == events.end()) held_.try_failed(item.id, "its row cannot be read", at);
  }
  for (Outgoing& out : events) window_.add_retry(std::move(out));
  if (!too_large.empty()) fetch_held(too_large, false);
  for (const Held::Item& item : too_large) held_.try_failed(item.id, larger_than_max_body(item.bytes), at);
}

// ---- what the broker said ----

void OutboxLeader::settle_accounts() {
  const auto fates = window_.take_fates();
  const int64_t at_us = fates.empty() ? 0 : wall_clock_us();
  const int64_t confirmed_before = confirmed_;
  for (const Window::Fate& fate : fates) {
    using What = Window::Fate::Kind;
    if (fate.kind == What::nacked) meters_.nacked->add();
    if (fate.kind == What::returned) meters_.returned->add();
    if (fate.kind == What::held) {
      log::warning("relay", "event held",
                   {{"source", name_}, {"id", fate.id}, {"routing_key", fate.routing_key}, {"why", fate.why}});
    }
    if (fate.kind == What::astray) {
      meters_.astray->add();
      log::warning("relay", "event for one endpoint goes to the unrouted: its queue is missing",
                   {{"source", name_}, {"id", fate.id}, {"routing_key", fate.routing_key}, {"why", fate.why}});
    }
    if (fate.kind == What::released) log::info("relay", "held event published", {{"source", name_}, {"id", fate.id}});
    if (fate.kind != What::confirmed && fate.kind != What::released) continue;
    confirmed_++;
    settled(fate.id);
    meters_.latency->observe(static_cast<double>(at_us - fate.captured_us) / 1e6);
  }
  if (confirmed_ > confirmed_before) meters_.confirmed->add(static_cast<double>(confirmed_ - confirmed_before));
}

// ---- the mark and the lease ----

void OutboxLeader::save_when_due(SteadyTime at) {
  if (lease_.renewal_due(boottime()) || (unmarked() && at >= next_save_)) save(at, false);
}

void OutboxLeader::save(SteadyTime at, bool exact) {
  milliseconds asked = boottime();
  const int64_t pages = mark(exact);
  lease_.renewed(asked);
  meters_.cursor_saves->add();
  // Under somebody's long transaction old versions of the row pile up: so save less often, the more there are.
  const SteadyTime::duration took = now() - at, most = options_.lease_time / 6;
  const auto wanted = std::max<SteadyTime::duration>(took * saves_apart, save_interval * pages / usual_pages);
  next_save_ = at + std::clamp<SteadyTime::duration>(wanted, save_interval, most);
}

void OutboxLeader::beat() {
  context_.board.beat(board_name_);
  publisher_.wait(Deadline::in(milliseconds(0)), nullptr, -1);
  if (!lease_.renewal_due(boottime())) return;
  milliseconds asked = boottime();
  renew();
  lease_.renewed(asked);
}

void OutboxLeader::tend_when_due(SteadyTime at) {
  if (at < next_tend_) return;
  next_tend_ = at + tend_interval;
  tend();
}

// ---- being seen ----

std::string OutboxLeader::state() const {
  if (draining_) return "draining";
  if (publisher_.blocked()) return "blocked";
  if (!publisher_.connected()) return "connecting";
  return held_.full() ? "stopped" : "leading";
}

std::string OutboxLeader::trouble() const {
  if (!publisher_.trouble().empty()) return publisher_.trouble();
  if (held_.full()) {
    return std::to_string(held_.size()) +
           " events are held, as many as held_max allows: nothing more is read until the "
           "broker takes them (the first: " +
           held_.items().front().why + ")";
  }
  return "";
}

void OutboxLeader::report_when_due(SteadyTime at) {
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
  auto waiting = window_.waiting() + listed();
  meters_.lag->set(lag);
  meters_.waiting->set(static_cast<double>(waiting));
  meters_.in_flight->set(static_cast<double>(window_.in_flight()));
  meters_.held->set(static_cast<double>(held_.size()));
  Figures figures = {{"events_per_s", std::to_string(confirmed_ - std::exchange(confirmed_before_, confirmed_))},
                     {"lag", fmt::format("{:.1f} s", lag)},
                     {"confirmed", std::to_string(confirmed_)},
                     {"in_flight", std::to_string(window_.in_flight())},
                     {"waiting", std::to_string(waiting)},
                     {"held", std::to_string(held_.size())}};
  add_figures(figures);
  if (held_.size() > 0) figures.emplace_back("first_held", std::to_string(held_.items().front().id));
  context_.board.set_figures(board_name_, std::move(figures));
}

// ---- waiting ----

Deadline OutboxLeader::wake_up(SteadyTime at) {
  bool can_send =
      publisher_.connected() && !publisher_.blocked() && !publisher_.full() && lease_.may_publish(boottime());
  if (can_send && window_.next(at) != nullptr) return Deadline::at(at);
  if (may_read() && (in_read() || answered())) return Deadline::at(at);
  SteadyTime wake = std::min(next_tend_, at + std::max(lease_.due_in(boottime()), milliseconds(0)));
  if (may_read() && !awaiting()) wake = std::min(wake, pace_.next());
  if (!publisher_.connected()) wake = std::min(wake, publisher_.next_attempt());
  if (unmarked()) wake = std::min(wake, next_save_);
  if (auto due = window_.next_due(); due && can_send) wake = std::min(wake, *due);
  return Deadline::at(wake);
}

void OutboxLeader::wait(const Stop* stop) {
  hear(false);
  if (may_read() && !in_read() && !awaiting() && pace_.waits_in_server()) await(PollPace::quiet, pace_.gather());
  publisher_.wait(wake_up(now()), stop, socket());
  settle_accounts();
  if (readable(socket())) hear(true);
}

// ---- the end ----

bool OutboxLeader::drained() {
  bool sendable = window_.next(now()) != nullptr;
  return (window_.empty() || !sendable) && window_.in_flight() == 0;
}

// Sends what is read, so that nothing unsent lies before something confirmed; waits for the answers; saves.
void OutboxLeader::drain() {
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
  release();
  publisher_.close(Deadline::in(milliseconds(1000)));
  log::info("relay", "stopped", {{"source", name_}, {"confirmed", confirmed_}});
}

}  // namespace muskrat

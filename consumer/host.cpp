#include "consumer/host.hpp"

#include <algorithm>
#include <utility>

#include "common/log.hpp"

namespace muskrat {
namespace {

using std::chrono::steady_clock;

constexpr milliseconds tick{500};
constexpr milliseconds broker_span{15'000};
constexpr milliseconds letters_span{60'000};  // up to 65,000 of them
constexpr milliseconds count_every{2'000};
constexpr milliseconds settled_span{5'000};  // a session that lived this long was a working one
constexpr uint16_t probing_prefetch = 16;

double seconds(milliseconds span) { return std::chrono::duration<double>(span).count(); }

}  // namespace

Host::Host(const EndpointKind& kind, const Component& component, const Config& config, const PauseWatch& pauses,
           SupersededLog& superseded, StatusBoard& board, const Stop& stop)
    : kind_(kind),
      component_(component),
      config_(config),
      options_(host_options(kind, component, config.consumer)),
      row_("endpoint " + component.name),
      pauses_(pauses),
      superseded_(superseded),
      board_(board),
      stop_(stop),
      schedule_({options_.lanes, options_.batch_size, options_.batch_age}),
      circuit_(options_.circuit_after, options_.circuit_first, options_.circuit_most),
      figures_(component.name),
      broker_backoff_(milliseconds(200), milliseconds(30'000)),
      lane_backoff_(options_.circuit_first, options_.circuit_most),
      prefetch_(options_.prefetch),
      lanes_(options_.lanes),
      office_([&config] { return config.broker_now(); }, config.topology, component.name, mailbox_),
      retrier_([&config] { return config.broker_now(); }, config.topology, component.name, options_.dead_retry) {
  board_.set(row_, false, "connecting", "");
  for (unsigned i = 0; i < options_.lanes; ++i)
    lanes_[i].lane = std::make_unique<Lane>(i, kind_, component_, config.consumer, options_.timeout, mailbox_);
}

void Host::run() {
  while (!stop_.requested()) {
    if (!not_paused() || !lanes_ready() || !open_session()) continue;
    const Ending ending = serve();
    session_->close();
    session_.reset();
    await_lanes();
    after(ending);
  }
  board_.set(row_, false, "stopped", "");
}

// True at once when nobody has paused the endpoint; else false, once it was resumed or the host is to stop.
bool Host::not_paused() {
  std::optional<bool> told;
  auto reason = pauses_.reason_to_wait(component_.name);
  for (; reason && !stop_.requested(); reason = pauses_.reason_to_wait(component_.name)) {
    const char* state = reason->paused ? "paused" : "connecting";
    if (told != reason->paused) log::info("consumer", state, {{"endpoint", component_.name}, {"why", reason->text}});
    told = reason->paused;
    figures_.paused(reason->paused);
    board_.set(row_, reason->paused, state, reason->text);  // what an operator wants is ready as it is
    tend(steady_clock::now());
    stop_.wait(tick);
  }
  figures_.paused(false);
  if (told == true && !reason) log::info("consumer", "resumed", {{"endpoint", component_.name}});
  return !told && !reason;
}

// Messages are not taken before the endpoint is there to take them.
bool Host::lanes_ready() {
  away_why_.clear();
  for (LaneSlot& slot : lanes_) {
    if (slot.connected) continue;
    slot.busy = true;
    slot.since = steady_clock::now();
    slot.lane->connect();
  }
  await_lanes();
  if (fatal_) throw *std::exchange(fatal_, std::nullopt);
  if (away_why_.empty()) {
    lane_backoff_.reset();
    return true;
  }
  stay_away("parked", away_why_, lane_backoff_.next());
  return false;
}

bool Host::open_session() {
  try {
    auto connection = amqp::Connection::open(config_.broker_now(), "muskrat consume " + component_.name,
                                             Deadline::in(broker_span), &stop_);
    if (options_.on_dead == OnDead::hold)
      held_keys_.rebuild(connection, config_.topology.dead_queue(component_.name), Deadline::in(letters_span));
    const uint16_t prefetch = circuit_.probing() ? std::min(prefetch_, probing_prefetch) : prefetch_;
    session_.emplace(std::move(connection), config_.topology.queue(component_.name), prefetch, ++generation_);
    opened_at_ = steady_clock::now();
    last_handed_out_ = 0;
    letters_were_missing_ = false;
    publish_state();
    log::info("consumer", "consuming", {{"endpoint", component_.name}, {"prefetch", int{prefetch}}});
    return true;
  } catch (const amqp::ChannelError& error) {
    const std::string hint = error.code() == 404 ? "; run muskrat setup" : "";
    stay_away("connecting", error.what() + hint, broker_backoff_.next());
  } catch (const Failure& failure) {
    if (failure.remedy() == Remedy::stop) throw;
    stay_away("connecting", failure.what(), broker_backoff_.next());
  }
  return false;
}

Host::Ending Host::serve() {
  try {
    return serve_until_ended();
  } catch (const Failure& failure) {
    if (failure.remedy() == Remedy::stop) throw;
    if (steady_clock::now() - opened_at_ > settled_span) broker_backoff_.reset();
    return {Ending::Why::lost, failure.what(), broker_backoff_.next()};
  }
}

Host::Ending Host::serve_until_ended() {
  std::optional<Ending> ending;
  Deadline patience = Deadline::distant();
  while (true) {
    if (!ending && (ending = reason_to_end())) patience = begin_to_end(*ending);
    if (ending && drained(patience)) return *ending;
    hand_out(ending.has_value());
    session_->flush_acks(false);
    const size_t room = options_.in_hand_bytes - std::min(options_.in_hand_bytes, schedule_.bytes());
    take_in(session_->pump(next_wake().sooner(patience), ending ? nullptr : &stop_, mailbox_.fd(), room));
    handle_reports();
    tend(steady_clock::now());
  }
}

// What stands before something finished is finished too, so that one acknowledgement covers all; unless the endpoint is
// in trouble: then nothing more goes there.
Deadline Host::begin_to_end(const Ending& ending) {
  session_->stop_taking();
  schedule_.stop_after(ending.why == Ending::Why::trouble ? 0 : last_handed_out_);
  return Deadline::in(stop_.requested() ? options_.drain : options_.timeout + options_.drain);
}

bool Host::drained(Deadline deadline) const {
  if (deadline.passed()) return true;
  if (schedule_.under_way() > 0) return false;
  const bool in_trouble = !away_why_.empty() || circuit_.tripped() || fatal_;
  return in_trouble || (schedule_.ready() == 0 && (burying_.empty() || !office_why_.empty()));
}

std::optional<Host::Ending> Host::reason_to_end() {
  if (stop_.requested()) return Ending{Ending::Why::stop, "", {}};
  if (fatal_) return trouble(fatal_->what(), milliseconds(0));
  if (!away_why_.empty()) return trouble(away_why_, circuit_.open());
  if (circuit_.tripped()) return trouble(last_why_, circuit_.open());
  if (const SteadyTime now = steady_clock::now(); parked_until_ && *parked_until_ > now)
    return trouble(last_why_, std::chrono::ceil<milliseconds>(*parked_until_ - now));
  if (schedule_.held() > options_.held_most)
    return trouble(std::to_string(schedule_.held()) + " events wait for a retry or behind one; the last: " +
                       (office_why_.empty() ? last_why_ : office_why_),
                   circuit_.open());
  if (session_->cancelled())
    return Ending{Ending::Why::lost,
                  "queue " + config_.topology.queue(component_.name) + " was deleted; run muskrat setup",
                  broker_backoff_.next()};
  return reason_to_rest();
}

// Nothing is wrong, but the channel must be closed and opened anew.
std::optional<Host::Ending> Host::reason_to_rest() {
  if (const auto reason = pauses_.reason_to_wait(component_.name))
    return Ending{Ending::Why::again, "paused " + reason->text, {}};
  const SteadyTime now = steady_clock::now();
  if (session_->overflowed()) {
    const size_t count = std::max<size_t>(schedule_.in_hand(), 1);
    prefetch_ = static_cast<uint16_t>(std::clamp<size_t>(count * 3 / 4, 1, options_.prefetch));
    return Ending{Ending::Why::again, "large events: the prefetch is lowered to " + std::to_string(prefetch_), {}};
  }
  const auto oldest = session_->oldest_open();
  if (oldest && now - *oldest > options_.give_back_after)
    return Ending{Ending::Why::again, "an event was unfinished for too long: all are given back and taken again", {}};
  if (letters_are_missing(now))
    return Ending{Ending::Why::again, "dead letters of held keys were taken out: who is held is read anew", {}};
  const bool lowered = session_->prefetch() < options_.prefetch && !circuit_.probing();
  if (lowered && (prefetch_ == options_.prefetch || now - opened_at_ > std::chrono::minutes(1))) {
    prefetch_ = static_cast<uint16_t>(std::min<unsigned>(prefetch_ * 2U, options_.prefetch));
    return Ending{Ending::Why::again, "the prefetch is raised to " + std::to_string(prefetch_), {}};
  }
  return std::nullopt;
}

// Somebody dropped letters of held keys, whose followers would wait for ever. Letters that were sent again are away for
// a while too: so nothing may be on its way, and it is looked at twice.
bool Host::letters_are_missing(SteadyTime now) {
  if (held_keys_.size() == 0 || now - letters_counted_at_ < count_every) return false;
  letters_counted_at_ = now;
  const auto missing = [&] {
    if (schedule_.in_hand() > 0) return false;
    const auto letters = session_->queue_state(config_.topology.dead_queue(component_.name));
    return letters.consumers == 0 && letters.messages < held_keys_.letters() &&
           session_->queue_state(config_.topology.queue(component_.name)).messages == 0;
  }();
  return std::exchange(letters_were_missing_, missing) && missing;
}

Host::Ending Host::trouble(const std::string& why, milliseconds away) {
  parked_until_.reset();
  figures_.circuit(true);
  return {Ending::Why::trouble, why, away};
}

// The session is over: what it held comes again from the queue.
void Host::after(const Ending& ending) {
  office_.abandon(generation_);
  office_why_.clear();
  burying_.clear();
  schedule_.clear();
  if (fatal_) throw *std::exchange(fatal_, std::nullopt);
  if (ending.why == Ending::Why::again)
    log::info("consumer", "given back", {{"endpoint", component_.name}, {"why", ending.text}});
  if (ending.why == Ending::Why::trouble) stay_away("parked", ending.text, ending.away);
  if (ending.why == Ending::Why::lost) stay_away("connecting", ending.text, ending.away);
}

// Until no lane is busy: the events of a batch must outlive it, and the next session must not overtake it.
void Host::await_lanes() {
  const auto busy = [](const LaneSlot& slot) { return slot.busy; };
  while (std::any_of(lanes_.begin(), lanes_.end(), busy)) {
    mailbox_.wait(Deadline::in(tick), -1);
    handle_reports();
    tend(steady_clock::now());
  }
}

void Host::stay_away(const char* state, const std::string& why, milliseconds span) {
  log::warning("consumer", state, {{"endpoint", component_.name}, {"why", why}, {"seconds", seconds(span)}});
  figures_.parked(std::string_view(state) == "parked");
  board_.set(row_, false, state, why);
  const Deadline end = Deadline::in(span);
  while (!end.passed() && !stop_.wait(std::min(milliseconds(end.poll_timeout()), tick))) {
    if (!not_paused()) board_.set(row_, false, state, why);  // the wait itself went on
    tend(steady_clock::now());
  }
  figures_.parked(false);
  figures_.circuit(false);
}

void Host::publish_state() {
  if (!session_) return;
  const std::string why = !office_why_.empty() ? office_why_ : schedule_.held() > 0 ? last_why_ : "";
  board_.set(row_, true, "consuming", why);
}

void Host::tend(SteadyTime now) {
  if (now - tended_at_ < tick) return;
  tended_at_ = now;
  figures_.refresh(schedule_, now);
  board_.set_figures(row_, figures_.rows(schedule_));
  publish_state();
  const auto stuck = [&](const LaneSlot& slot) {
    return slot.busy && now - slot.since > options_.timeout * 2 + broker_span;
  };
  if (std::none_of(lanes_.begin(), lanes_.end(), stuck)) board_.beat(row_);
}

Deadline Host::next_wake() const {
  SteadyTime wake = steady_clock::now() + tick;
  for (unsigned i = 0; i < lanes_.size(); ++i)
    if (const auto due = schedule_.next_due(i); due && !lanes_[i].busy && lanes_[i].connected)
      wake = std::min(wake, *due);
  if (session_) wake = std::min(wake, session_->acks_due().value_or(wake));
  return Deadline::at(wake);
}

}  // namespace muskrat

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

}  // namespace

Host::Host(const EndpointKind& kind, const Component& component, const Config& config, const PauseWatch& pauses,
           SupersededLog& superseded, ParkNotes& notes, Jobs& jobs, StatusBoard& board, const Stop& stop)
    : kind_(kind),
      component_(component),
      config_(config),
      options_(host_options(kind, component, config.consumer)),
      row_("endpoint " + component.name),
      exchange_(config.topology.exchange()),
      pauses_(pauses),
      superseded_(superseded),
      notes_(notes),
      jobs_(jobs),
      board_(board),
      stop_(stop),
      schedule_({options_.lanes, options_.batch_size, options_.batch_age, options_.batch_bytes}),
      circuit_(options_.circuit_after, options_.circuit_first, options_.circuit_most),
      subscription_(component.settings.texts("subscribe")),
      figures_(component.name),
      broker_backoff_(milliseconds(200), milliseconds(30'000)),
      lane_backoff_(options_.circuit_first, options_.circuit_most),
      prefetch_(options_.prefetch),
      gate_(component, config.consumer, stop),
      lanes_(options_.lanes),
      office_([&config] { return config.broker_now(); }, config.topology, component.name, mailbox_),
      retrier_([&config] { return config.broker_now(); }, config.topology, component.name, options_.dead_retry) {
  board_.set(row_, false, "connecting", "");
  for (unsigned i = 0; i < options_.lanes; ++i)
    lanes_[i].lane =
        std::make_unique<Lane>(i, kind_, component_, config.consumer, options_.timeout, gate_, jobs_, mailbox_);
}

void Host::run() {
  while (!stop_.requested()) {
    if (!not_paused() || !calls_allowed() || !lanes_ready() || !open_session()) continue;
    const Ending ending = serve();
    // what lanes have left goes back to the queue, and perhaps to another host: they begin no more calls with it
    gate_.close();
    if (ending.why == Ending::Why::lost) board_.set(row_, false, "connecting", ending.text);
    session_->close();
    session_.reset();
    await_lanes();
    gate_.open();
    after(ending);
  }
  keep_rest();
  board_.set(row_, false, "stopped", "");
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
  park(away_why_, lane_backoff_.next(), ParkReason::trouble);
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
    wait_to_connect(error.what() + hint, broker_backoff_.next());
  } catch (const Failure& failure) {
    if (failure.remedy() == Remedy::stop) throw;
    wait_to_connect(failure.what(), broker_backoff_.next());
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
// in trouble or may have no calls: then nothing more goes there.
Deadline Host::begin_to_end(const Ending& ending) {
  session_->stop_taking();
  schedule_.stop_after(ending.why == Ending::Why::park ? 0 : last_handed_out_);
  return Deadline::in(stop_.requested() ? options_.drain : options_.timeout + options_.drain);
}

bool Host::drained(Deadline deadline) {
  if (deadline.passed()) return true;
  if (schedule_.under_way() > 0) return false;
  const bool in_trouble = !away_why_.empty() || circuit_.tripped() || fatal_;
  return in_trouble || no_calls(steady_clock::now()) ||
         (schedule_.ready() == 0 && (burying_.empty() || !office_why_.empty()));
}

std::optional<Host::Ending> Host::reason_to_end() {
  if (stop_.requested()) return Ending{Ending::Why::stop, "", {}};
  if (fatal_) return trouble(fatal_->what(), milliseconds(0));
  if (!away_why_.empty()) return trouble(away_why_, circuit_.open());
  if (circuit_.tripped()) return trouble(last_why_, circuit_.open());
  const SteadyTime now = steady_clock::now();
  if (const auto rest = no_calls(now); rest && rest->until - now > options_.hold_for)
    return Ending{Ending::Why::park, rest->why, std::chrono::ceil<milliseconds>(rest->until - now), rest->reason};
  if (schedule_.held() > options_.held_most || schedule_.held_bytes() > options_.held_bytes)
    return trouble(
        std::to_string(schedule_.held()) + " events (" + std::to_string(schedule_.held_bytes()) +
            " bytes) wait for a retry or behind one; the last: " + (office_why_.empty() ? last_why_ : office_why_),
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
    if (letters.consumers > 0 || session_->queue_state(config_.topology.queue(component_.name)).messages > 0)
      return false;
    held_keys_.seen(letters.messages);
    return letters.messages < held_keys_.in_queue();
  }();
  return std::exchange(letters_were_missing_, missing) && missing;
}

Host::Ending Host::trouble(const std::string& why, milliseconds away) { return {Ending::Why::park, why, away}; }

// The session is over: what it held comes again from the queue.
void Host::after(const Ending& ending) {
  office_.abandon(generation_);
  office_why_.clear();
  burying_.clear();
  schedule_.clear();
  if (fatal_) throw *std::exchange(fatal_, std::nullopt);
  if (ending.why == Ending::Why::again)
    log::info("consumer", "given back", {{"endpoint", component_.name}, {"why", ending.text}});
  if (ending.why == Ending::Why::park) park(ending.text, ending.away, ending.reason);
  if (ending.why == Ending::Why::lost) wait_to_connect(ending.text, ending.away);
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

void Host::publish_state() {
  if (!session_) return;
  const auto rest = no_calls(steady_clock::now());
  const std::string why = !office_why_.empty() ? office_why_ : rest ? rest->why : schedule_.held() > 0 ? last_why_ : "";
  if (parked_why_.empty()) return board_.set(row_, true, "consuming", why);
  board_.set(row_, false, "consuming", why.empty() ? "tried again; it was parked because " + parked_why_ : why);
}

// A park ends for those who watch when the endpoint has taken something: an alarm would see an end of the trouble in
// each try. Where there is nothing to try it with, that it is connected is enough.
void Host::take_back_park(SteadyTime now) {
  if (parked_why_.empty() || !session_) return;
  if (took_something_ || (schedule_.in_hand() == 0 && now - opened_at_ > settled_span)) forget_park();
}

void Host::tend(SteadyTime now) {
  if (now - tended_at_ < tick) return;
  tended_at_ = now;
  take_back_park(now);
  figures_.refresh(schedule_, session_ ? session_->oldest_open() : std::nullopt, now);
  auto rows = figures_.rows(schedule_);
  if (std::string quota = gate_.quota_text(); !quota.empty()) rows.emplace_back("quota", std::move(quota));
  const auto jobs = jobs_.of(component_.name);
  figures_.jobs(jobs.size());
  for (const Job& job : jobs) rows.emplace_back(job.what + " " + job.id, describe(job));
  board_.set_figures(row_, std::move(rows));
  publish_state();
  const auto stuck = [&](const LaneSlot& slot) {
    return slot.busy && now - slot.since > options_.timeout * 2 + broker_span;
  };
  if (std::none_of(lanes_.begin(), lanes_.end(), stuck)) board_.beat(row_);
}

Deadline Host::next_wake() {
  const SteadyTime now = steady_clock::now();
  SteadyTime wake = now + tick;
  const auto rest = no_calls(now);
  if (rest) wake = std::min(wake, rest->until);
  for (unsigned i = 0; !rest && !all_lanes_allowed_are_busy() && i < lanes_.size(); ++i)
    if (const auto due = schedule_.next_due(i); due && !lanes_[i].busy && lanes_[i].connected)
      wake = std::min(wake, *due);
  if (session_) wake = std::min(wake, session_->acks_due().value_or(wake));
  return Deadline::at(wake);
}

}  // namespace muskrat

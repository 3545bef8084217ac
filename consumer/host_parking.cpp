// While an endpoint takes nothing: paused, parked, away from the broker; and while it holds what it has in hand.
#include <algorithm>
#include <utility>

#include "common/log.hpp"
#include "common/utc_text.hpp"
#include "consumer/host.hpp"

namespace muskrat {
namespace {

using std::chrono::steady_clock;

constexpr milliseconds tick{500};

int64_t wall_us(SteadyTime instant) {
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(instant - steady_clock::now());
  return wall_clock_us() + left.count();
}

double seconds(milliseconds span) { return std::chrono::duration<double>(span).count(); }

}  // namespace

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

// Messages are not taken before they may go. False when that had to be waited for.
bool Host::calls_allowed() {
  try {
    if (!knows_the_past_) remember_rest();
    gate_.look();
  } catch (const Failure& failure) {
    park(failure.what(), lane_backoff_.next(), ParkReason::trouble);
    return false;
  }
  const SteadyTime now = steady_clock::now();
  const auto rest = no_calls(now);
  if (!rest || rest->until - now <= options_.hold_for) return true;
  park(rest->why, std::chrono::ceil<milliseconds>(rest->until - now), rest->reason);
  return false;
}

// Why the endpoint may have no calls now: its rate or quota, or what it said itself.
std::optional<Park> Host::no_calls(SteadyTime now) {
  if (asked_ && asked_->until <= now) asked_.reset();
  auto shut = gate_.shut(now);
  return asked_ && (!shut || shut->until < asked_->until) ? asked_ : shut;
}

void Host::ask_for_rest(const Outcome& outcome) {
  const SteadyTime until = steady_clock::now() + outcome.until;
  if (!asked_ || asked_->until < until) asked_ = Park{ParkReason::asked, until, outcome.reason};
}

// What the endpoint asked for before this host began: it need not be asked again to say so.
void Host::remember_rest() {
  const auto note = notes_.asked_before(component_.name);
  knows_the_past_ = true;
  if (!note) return;
  const auto left = std::chrono::microseconds(note->until_us - wall_clock_us());
  asked_ = Park{ParkReason::asked, steady_clock::now() + left, note->why};
}

// For the host's next life.
void Host::keep_rest() {
  if (asked_ && asked_->until > steady_clock::now())
    notes_.parked({component_.name, wall_us(asked_->until), 0,
                   std::string(park_reasons[static_cast<size_t>(asked_->reason)]), asked_->why});
}

// A lane makes one call at a time.
bool Host::all_lanes_allowed_are_busy() const {
  const auto busy = std::count_if(lanes_.begin(), lanes_.end(), [](const LaneSlot& slot) { return slot.busy; });
  return static_cast<unsigned>(busy) >= options_.concurrency;
}

void Host::park(const std::string& why, milliseconds span, ParkReason reason) {
  const int64_t until_us = wall_us(steady_clock::now() + span);
  const std::string_view reason_name = park_reasons[static_cast<size_t>(reason)];
  log::warning("consumer", "parked",
               {{"endpoint", component_.name},
                {"why", why},
                {"reason", reason_name},
                {"until", utc_text(until_us)},
                {"seconds", seconds(span)}});
  figures_.parked(reason, until_us);
  parked_why_ = why;
  notes_.parked({component_.name, until_us, 0, std::string(reason_name), why});
  const bool was_asked = reason == ParkReason::asked;
  const auto over = [&] {
    if (!was_asked) return reason == ParkReason::quota && !gate_.shut(steady_clock::now());
    if (!notes_.taken_out(component_.name)) return false;
    log::info("consumer", "resumed", {{"endpoint", component_.name}, {"before", utc_text(until_us)}});
    asked_.reset();
    return true;
  };
  stay_away("parked", "until " + utc_text(until_us) + ", because " + why, span, over);
  notes_.not_parked(component_.name);
  took_something_ = false;
  // These are over when their time is; of the others it is tried.
  if (reason == ParkReason::rate || reason == ParkReason::quota) forget_park();
}

void Host::forget_park() {
  parked_why_.clear();
  figures_.not_parked();
}

// Of the endpoint nothing is known meanwhile.
void Host::wait_to_connect(const std::string& why, milliseconds span) {
  forget_park();
  log::warning("consumer", "connecting", {{"endpoint", component_.name}, {"why", why}, {"seconds", seconds(span)}});
  stay_away("connecting", why, span, [] { return false; });
}

void Host::stay_away(const char* state, const std::string& why, milliseconds span, const std::function<bool()>& over) {
  board_.set(row_, false, state, why);
  const Deadline end = Deadline::in(span);
  while (!end.passed() && !over() && !stop_.wait(std::min(milliseconds(end.poll_timeout()), tick))) {
    if (!not_paused()) board_.set(row_, false, state, why);  // the wait itself went on
    tend(steady_clock::now());
  }
}

}  // namespace muskrat

// The fate of events: from delivery to lane, from outcome to acknowledgement, retry or dead letter.
#include <algorithm>
#include <utility>

#include "common/log.hpp"
#include "common/wire.hpp"
#include "consumer/host.hpp"
#include "consumer/trail.hpp"

namespace muskrat {
namespace {

using std::chrono::steady_clock;
using Fate = Outcome::Fate;

constexpr size_t most_warnings = 100;  // of routing keys; there may be as many as producers think of

bool failed(const Outcome& outcome) { return outcome.fate == Fate::retry; }
bool untried(const Outcome& outcome) { return outcome.fate == Fate::park || outcome.fate == Fate::wait; }

HeldKeys::Letter letter_of(const Event& event) { return {event.message_id, event.epoch, event.seq}; }
// From the dead letters, which it left then.
bool was_sent_again(const Item& item) { return !item.original.headers.text(dead::header_trail).empty(); }

}  // namespace

void Host::take_in(std::vector<amqp::Delivery> deliveries) {
  for (amqp::Delivery& delivery : deliveries) {
    auto item = item_of(delivery);
    const bool barrier = item->doom.empty() && item->event.op == Op::truncate;
    schedule_.add(std::move(item), barrier);
  }
}

// Takes the delivery's parts.
std::unique_ptr<Item> Host::item_of(amqp::Delivery& delivery) {
  auto item = std::make_unique<Item>();
  item->tag = delivery.tag;
  item->taken_at = steady_clock::now();
  item->bytes = delivery.body.size();
  std::string why;
  // takes a part only, and says which: a cast, for std::move would promise more
  if (!wire::event_of(static_cast<amqp::Delivery&&>(delivery), item->event, why))
    item->doom = "not an event of ours: " + why;
  item->original = std::move(delivery);  // what is left: the event took body, message_id and routing key
  if (item->doom.empty()) watch_binding(*item);
  if (item->doom.empty() && item->event.op == Op::truncate && options_.on_truncate == OnTruncate::dead)
    item->doom = "TRUNCATE at the source (on_truncate: dead)";
  item->trail = item->original.headers.text(dead::header_trail);  // of one that was sent again
  if (attempts_.size() == 0) return item;
  AttemptMemory::Entry earlier = attempts_.recall(item->event.message_id);
  item->attempts = earlier.attempts;
  item->not_before = earlier.not_before;
  if (!earlier.trail.empty()) item->trail = std::move(earlier.trail);
  return item;
}

// A binding outlives its pattern in the configuration. Only what the exchange brought came by a binding: what came
// another way (replay, backfill to one endpoint, dead letters sent again) was addressed to this endpoint. It is
// delivered all the same: the pattern may also be new, and this host not reloaded yet.
void Host::watch_binding(const Item& item) {
  if (item.original.exchange != exchange_ || subscription_.takes(item.event)) return;
  figures_.unsubscribed();
  if (warned_of_.size() >= most_warnings || !warned_of_.insert(item.event.routing_key).second) return;
  log::warning("consumer", "the endpoint gets what it does not subscribe to",
               {{"endpoint", component_.name},
                {"routing_key", item.event.routing_key},
                {"why", "its queue is bound to a pattern that this host's configuration does not have"},
                {"hint", "if it was taken out: muskrat setup --endpoint " + component_.name +
                             " --unbind PATTERN; if it was added: reload this host"}});
}

void Host::hand_out(bool ending) {
  const SteadyTime now = steady_clock::now();
  // The prefetch bounds what can come, and nothing is under way whose end would bring more.
  const bool no_more_comes = schedule_.in_hand() >= session_->prefetch() && schedule_.under_way() == 0;
  const bool eager = ending || (no_more_comes && !schedule_.a_batch_is_full());
  schedule_.gather_for(gate_.calls_are_scarce(now) ? options_.scarce_batch_age : options_.batch_age);
  first_lane_ = (first_lane_ + 1) % options_.lanes;
  for (unsigned i = 0; i < options_.lanes && !all_lanes_allowed_are_busy() && !no_calls(now); ++i) {
    const unsigned index = (first_lane_ + i) % options_.lanes;
    LaneSlot& slot = lanes_[index];
    if (slot.busy || !slot.connected) continue;
    std::vector<Item*> batch = next_batch(index, now, eager);
    if (!batch.empty()) deliver(slot, std::move(batch));
  }
}

// Doomed and held events never reach the endpoint.
std::vector<Item*> Host::next_batch(unsigned lane, SteadyTime now, bool eager) {
  while (true) {
    std::vector<Item*> batch = schedule_.next_batch(lane, now, eager);
    if (batch.empty()) return batch;
    std::erase_if(batch, [&](Item* item) {
      if (!item->doom.empty()) return bury(*item, item->doom, dead::permanent), true;
      const std::string* blocker = held_keys_.blocker(item->event.key, letter_of(item->event));
      if (blocker) bury(*item, held_behind(*blocker), dead::held);
      return blocker != nullptr;
    });
    if (!batch.empty()) return batch;
  }
}

void Host::deliver(LaneSlot& slot, std::vector<Item*> batch) {
  std::vector<const Event*> events;
  events.reserve(batch.size());
  for (const Item* item : batch) {
    events.push_back(&item->event);
    last_handed_out_ = std::max(last_handed_out_, item->tag);
  }
#ifdef MUSKRAT_BUG_ack_before_effect
  for (const Item* item : batch) session_->finish(item->tag);
#endif
  slot.batch = std::move(batch);
  slot.busy = true;
  slot.since = steady_clock::now();
  slot.lane->deliver(std::move(events));
}

void Host::handle_reports() {
  for (Report& report : mailbox_.take()) handle(report);
}

void Host::handle(Report& report) {
  switch (report.what) {
    case Report::What::connected:
      lanes_[report.lane].connected = true;
      lanes_[report.lane].busy = false;
      return;
    case Report::What::outcomes:
      return on_outcomes(lanes_[report.lane], report);
    case Report::What::trouble:
      return on_trouble(lanes_[report.lane], report);
    case Report::What::buried:
      return on_buried(report);
    case Report::What::unburied:
      office_why_ = report.why;
      return;
  }
}

void Host::on_outcomes(LaneSlot& slot, const Report& report) {
  const std::vector<Item*> batch = std::exchange(slot.batch, {});
  slot.busy = false;
  figures_.batch(report.took);
  judge(batch, report.outcomes);
  for (size_t i = 0; i < batch.size(); ++i) settle(*batch[i], report.outcomes[i]);
}

// Is it the events, or the endpoint? What was not tried says nothing of either.
void Host::judge(const std::vector<Item*>& batch, const std::vector<Outcome>& outcomes) {
  const auto says_nothing_good = [](const Outcome& outcome) { return failed(outcome) || untried(outcome); };
  if (!std::all_of(outcomes.begin(), outcomes.end(), says_nothing_good)) {
    took_something_ = true;
    return circuit_.succeeded();
  }
  const auto first = std::find_if(outcomes.begin(), outcomes.end(), failed);
  if (first != outcomes.end()) circuit_.failed(batch[static_cast<size_t>(first - outcomes.begin())]->event.message_id);
}

void Host::on_trouble(LaneSlot& slot, const Report& report) {
  const std::vector<Item*> batch = std::exchange(slot.batch, {});
  slot.busy = false;
  slot.connected = false;
  last_why_ = report.why;
  if (report.remedy == Remedy::stop) fatal_ = Failure(report.remedy, report.why);
  if (batch.empty() || !session_) {
    away_why_ = report.why;
  } else {
    circuit_.threw();
    slot.busy = true;
    slot.since = steady_clock::now();
    slot.lane->connect();
  }
  log::warning("consumer", "endpoint in trouble", {{"endpoint", component_.name}, {"why", report.why}});
  const SteadyTime again = steady_clock::now() + options_.retry_first;
  for (Item* item : batch) schedule_.wait_until(*item, again);
}

void Host::settle(Item& item, const Outcome& outcome) {
  figures_.settled(outcome, item.event);
  switch (outcome.fate) {
    case Fate::superseded:
      superseded_.note(component_.name, {item.event.message_id,
                                         item.event.key,
                                         item.event.routing_key,
                                         {item.event.epoch, item.event.seq},
                                         outcome.reason,
                                         wall_clock_us()});
      return finish(item);
    case Fate::done:
    case Fate::repeated:
    case Fate::skipped:
      return finish(item);
    case Fate::retry:
      return try_again(item, outcome.reason);
    case Fate::park:
      last_why_ = outcome.reason;
      if (outcome.until.count() > 0) ask_for_rest(outcome);
      return schedule_.put_back(item);
    case Fate::wait:
      last_why_ = outcome.reason;
      return schedule_.wait_until(item, steady_clock::now() + outcome.until);
    case Fate::dead:
      ++item.attempts;
      return bury(item, outcome.reason, dead::permanent);
  }
}

void Host::finish(Item& item) {
#ifndef MUSKRAT_BUG_ack_before_effect
  if (session_) session_->finish(item.tag);
#endif
  attempts_.forget(item.event.message_id);
  if (options_.on_dead == OnDead::hold) held_keys_.release(item.event.key, item.event.message_id, was_sent_again(item));
  schedule_.finish(item);
}

void Host::try_again(Item& item, const std::string& why) {
  ++item.attempts;
  last_why_ = why;
  if (item.attempts >= options_.retry_attempts)
    return bury(item, why + " (tried " + std::to_string(item.attempts) + " times)", dead::transient);
  trail::add(item.trail, wall_clock_us(), why);
  figures_.retry();
  const double chance = std::uniform_real_distribution<double>()(chance_);
  const auto wait = retry_wait(item.attempts, options_.retry_first, options_.retry_most, chance);
  const SteadyTime due = steady_clock::now() + wait;
  attempts_.remember(item.event.message_id, {item.attempts, due, item.trail});
  log::info("consumer", "event will be tried again",
            {{"endpoint", component_.name},
             {"message_id", item.event.message_id},
             {"attempts", static_cast<int64_t>(item.attempts)},
             {"why", why}});
  schedule_.wait_until(item, due);
}

void Host::bury(Item& item, const std::string& why, std::string_view cause) {
  schedule_.wait(item);
  if (!session_) return;  // it comes again, and fails again
  if (options_.on_dead == OnDead::hold) held_keys_.add(item.event.key, letter_of(item.event), was_sent_again(item));
  DeadLetter letter;
  letter.original = item.original;
  letter.original.body = item.event.body;
  letter.original.message_id = item.event.message_id;
  letter.routing_key = item.event.routing_key;
  letter.reason = why;
  letter.cause = cause;
  trail::add(item.trail, wall_clock_us(), "dead: " + why);
  letter.trail = item.trail;
  letter.attempts = item.attempts;
  letter.generation = session_->generation();
  letter.tag = item.tag;
  burying_[item.tag] = &item;
  log::warning("consumer", "dead letter",
               {{"endpoint", component_.name}, {"message_id", item.event.message_id}, {"why", why}});
  office_.bury(std::move(letter));
}

void Host::on_buried(const Report& report) {
  if (!session_ || report.generation != session_->generation()) return;
  const auto found = burying_.find(report.tag);
  if (found == burying_.end()) return;
  Item& item = *found->second;
  burying_.erase(found);
  office_why_.clear();
  figures_.buried();
#ifndef MUSKRAT_BUG_ack_before_effect
  session_->finish(item.tag);
#endif
  attempts_.forget(item.event.message_id);
  schedule_.finish(item);
}

}  // namespace muskrat

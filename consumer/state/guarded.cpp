#include "consumer/state/guarded.hpp"

#include <utility>

#include "common/json.hpp"

namespace muskrat::state {
namespace {

using Fate = Outcome::Fate;

constexpr milliseconds record_span{10'000};
constexpr size_t forget_least = 100;
constexpr milliseconds put_off_most{5'000};

std::string object_of(const Event& event) {
  const auto words = parse_routing_key(event.routing_key);
  return words ? std::string(words->source) + "." + std::string(words->object) : event.routing_key;
}

Version version_of(const Event& event) { return {event.epoch, event.seq}; }
bool has_version(const Event& event) { return event.epoch != 0 || event.seq != 0; }

// The row's key as JSON text; nullopt + why when a member is not there.
std::optional<std::string> key_from(const std::string& body, const std::vector<std::string>& members,
                                    std::string& why) {
  const auto document = json::Document::parse(body, why);
  if (!document) {
    why.insert(0, "the body is not JSON: ");
    return std::nullopt;
  }
  std::string key = "[";
  for (const std::string& member : members) {
    const auto value = document->root().type() == json::Type::object ? document->root().path(member) : std::nullopt;
    if (!value || value->type() == json::Type::null) {
      why = "guard_key: the body has no " + member;
      return std::nullopt;
    }
    key += (key.size() > 1 ? "," : "") + value->dump();
  }
  return key + "]";
}

}  // namespace

Guarded::Guarded(std::unique_ptr<Endpoint> endpoint, const Component& component, const Settings& consumer,
                 size_t full_batch)
    : endpoint_(std::move(endpoint)),
      consumer_(consumer),
      name_(component.name),
      by_state_(component.settings.text("guard") == "state"),
      full_batch_(full_batch),
      row_members_(component.settings.texts("guard_key")),
      seen_for_(component.settings.duration("seen_for")) {}

void Guarded::connect(Deadline deadline) {
  store_.reset();
  store_ = open_store(consumer_, deadline);
  endpoint_->connect(deadline);
}

// What to ask about the event; false + why for one that can have no guard though it should.
bool Guarded::ask_about(const Event& event, Store::Question& question, std::string& why) const {
  question.scope = {event.source, object_of(event), ""};
  const bool guarded = by_state_ && has_version(event);
  if (guarded && event.op == Op::truncate) {
    question.row_key = "*";  // no row: but for the scope's last TRUNCATE nothing is newer
  } else if (guarded && !row_members_.empty()) {
    auto key = key_from(event.body, row_members_, why);
    if (!key) return false;
    question.row_key = std::move(*key);
  } else if (guarded) {
    question.row_key = event.key;
  }
  if (question.row_key.empty()) question.message_id = event.message_id;
  return true;
}

// False: it goes to the endpoint.
bool Guarded::decide(const Event& event, const Store::Answer& answer, Outcome& outcome) const {
  if (answer.newest && !(*answer.newest < version_of(event))) {
    const Fate fate = *answer.newest == version_of(event) ? Fate::repeated : Fate::superseded;
    outcome = {fate, std::to_string(answer.newest->epoch) + "/" + std::to_string(answer.newest->seq), milliseconds(0)};
    return true;
  }
  if (answer.seen) outcome = {Fate::repeated, "", milliseconds(0)};
  return answer.seen;
}

std::vector<Outcome> Guarded::deliver(std::span<const Event* const> batch, Deadline deadline) {
  std::vector<Outcome> outcomes(batch.size());
  Questions questions(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    std::string why;
    if (!ask_about(*batch[i], questions[i], why)) outcomes[i] = Outcome::dead(why);
  }
  const auto answers = store_->ask(name_, questions, deadline);
  std::vector<const Event*> left;
  std::vector<const Store::Question*> asked;
  std::vector<size_t> places;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (outcomes[i].fate == Fate::dead || decide(*batch[i], answers[i], outcomes[i])) continue;
    left.push_back(batch[i]);
    asked.push_back(&questions[i]);
    places.push_back(i);
  }
  if (left.empty()) return outcomes;
  if (can_wait(left.size(), batch.size())) {
    for (const size_t place : places) outcomes[place] = Outcome::untried("not tried yet: it goes with others");
    return outcomes;
  }
  auto delivered = endpoint_->deliver(left, deadline);
  if (delivered.size() != left.size()) return delivered;  // the lane refuses it
  record(left, delivered, asked);
  for (size_t i = 0; i < left.size(); ++i) outcomes[places[i]] = std::move(delivered[i]);
  return outcomes;
}

// After a crash a host is given again what it had done: batches are full of it, and the few others would each time be a
// call of their own. Each time some of a batch is settled, so that it ends.
bool Guarded::can_wait(size_t left, size_t batch) {
  const SteadyTime now = std::chrono::steady_clock::now();
  const bool few = full_batch_ > 0 && batch >= full_batch_ && left * 8 < batch * 7;
  if (few && first_put_off_ == SteadyTime{}) first_put_off_ = now;
  if (few && now - first_put_off_ < put_off_most) return true;
  first_put_off_ = {};
  return false;
}

void Guarded::record(const std::vector<const Event*>& events, const std::vector<Outcome>& outcomes,
                     const std::vector<const Store::Question*>& questions) {
  Store::Done done;
  done.remember = seen_for_;
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& event = *events[i];
    if (outcomes[i].fate != Fate::done && outcomes[i].fate != Fate::repeated) continue;
    if (!questions[i]->message_id.empty()) done.message_ids.push_back(event.message_id);
    if (questions[i]->row_key.empty()) continue;
    Mark mark{questions[i]->scope, questions[i]->row_key, version_of(event), event.op == Op::remove};
    (event.op == Op::truncate ? done.truncates : done.marks).push_back(std::move(mark));
  }
  if (done.empty()) return;
  store_->record(name_, done, Deadline::in(record_span));
  if (!done.message_ids.empty()) forget(forget_least + 2 * done.message_ids.size());
}

void Guarded::forget(size_t most) { store_->forget_seen(most, Deadline::in(record_span)); }

void Guarded::idle() {
  if (store_) forget(forget_least * 10);
  endpoint_->idle();
}

}  // namespace muskrat::state

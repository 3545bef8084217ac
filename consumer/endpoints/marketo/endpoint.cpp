// Which records go in which call; who waits.
#include "consumer/endpoints/marketo/endpoint.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "consumer/endpoints/api/shared.hpp"
#include "consumer/endpoints/marketo/identity.hpp"

namespace muskrat::marketo {
namespace {

constexpr milliseconds key_look{100};       // after which a key that was in use may be free
constexpr milliseconds import_look{5'000};  // the same of one that is in an import
constexpr size_t bulk_answer_bytes = size_t{16} << 20;
constexpr milliseconds objects_rest{130'000};  // Marketo's limit of 120 s, and some

milliseconds rest_of(const Settings& settings) {
  const bool objects = settings.has("object") && !settings.given("unanswered_rest");
  return objects ? objects_rest : settings.duration("unanswered_rest");
}

}  // namespace

MarketoEndpoint::MarketoEndpoint(const Component& component)
    : name_(component.name),
      target_(component.settings),
      missing_lead_again_(component.settings.text("missing_lead") == "retry"),
      create_only_(component.settings.text("action") == "createOnly"),
      one_shape_(!component.settings.records("fields").empty()),
      rest_(rest_of(component.settings)),
      bulk_look_(component.settings.duration("bulk_look")),
      bulk_from_(static_cast<size_t>(component.settings.integer("bulk_from"))),
      api_(component.settings),
      bulk_(target_, component.settings, api_),
      keys_(api::shared_by<api::KeysInUse>(base_url(component.settings))),
      imports_(api::shared_by<Imports>(base_url(component.settings))),
      notes_("marketo " + base_url(component.settings)),
      imported_(metrics::counter("muskrat_endpoint_imported_total", "Records that went in bulk imports.",
                                 {{"endpoint", component.name}})),
      import_warnings_(metrics::counter("muskrat_endpoint_import_warnings_total",
                                        "Records that were imported with a warning.", {{"endpoint", component.name}})) {
}

void MarketoEndpoint::connect(Deadline deadline) {
  notes_.open(consumer(), deadline);
  api_.connect(deadline, bulk_from_ > 0 ? bulk_answer_bytes : 0);
}

std::vector<Outcome> MarketoEndpoint::deliver(std::span<const Event* const> batch, Deadline deadline) {
  deadline_ = deadline;
  // each call has at least half of the time to itself
  patience_ = Deadline::in(milliseconds(deadline.poll_timeout() / 2));
  halt_.reset();
  answers_ = failures_ = 0;
  again_ = false;
  std::vector<Outcome> outcomes(batch.size());
  std::vector<Pending> records;
  records.reserve(batch.size());
  for (size_t i = 0; i < batch.size(); ++i)
    if (auto record = target_.record(*batch[i], outcomes[i])) {
      const std::string key = api::key_digest(target_.object() + " " + record->key);
      records.push_back({std::move(*record), batch[i], key, &outcomes[i]});
    }
  std::vector<const Pending*> waiting;
  waiting.reserve(records.size());
  for (const Pending& record : records) waiting.push_back(&record);
  read_notes();
  waiting = settle_imported(waiting, false);
  if (!halt_ && bulk_from_ > 0 && waiting.size() >= bulk_from_) waiting = import(waiting);
  std::sort(waiting.begin(), waiting.end());  // as they came, which is how they stand in `records`
  send_all(std::move(waiting));
  return outcomes;
}

void MarketoEndpoint::send_all(std::vector<const Pending*> waiting) {
  while (!waiting.empty() && !halt_) {
    api::HeldKeys keys(*keys_, &notes_);
    const auto call = next_call(waiting, keys);
    held_ = &keys;
    if (!call.empty()) send(call);
  }
  if (halt_) settle(waiting, *halt_);
}

// Takes from `waiting` what one call may hold, all change or all delete, and those whose key is in use: these wait
// for themselves, and go with a later call. Of one key a deletion and what stands before and behind it keep their
// order.
std::vector<const Pending*> MarketoEndpoint::next_call(std::vector<const Pending*>& waiting,
                                                       api::HeldKeys& keys) const {
  std::vector<const Pending*> call, left;
  std::set<std::string_view> left_keys;
  const bool removes = waiting.front()->record.removes;
  size_t bytes = 0;
  bool full = false;
  for (const Pending* pending : waiting) {
    const Record& record = pending->record;
    const size_t more = record.text.size() + 1;
    full = full || call.size() == Target::most_records || bytes + more > target_.room() + 1;
    if (full || record.removes != removes || left_keys.contains(pending->key)) {
      left.push_back(pending);
      left_keys.insert(pending->key);
      continue;
    }
    if (!take_key(*pending, keys)) continue;
    bytes += more;
    call.push_back(pending);
  }
  waiting = std::move(left);
  return call;
}

// False: the record waits.
bool MarketoEndpoint::take_key(const Pending& pending, api::HeldKeys& keys) const {
  const bool free = keys.add(pending.key);
  const bool imported = free && imports_->under_way(pending.key);
  if (free && !imported) return true;
  *pending.outcome = Outcome::wait("another call with the same " + target_.key_text() + " is under way",
                                   imported ? import_look : std::max(keys_->taken_for(pending.key), key_look));
  return false;
}

void MarketoEndpoint::settle(Pendings records, const Outcome& outcome) {
  for (const Pending* pending : records) *pending->outcome = outcome;
}

void MarketoEndpoint::halt(Pendings records, Outcome outcome) {
  halt_ = std::move(outcome);
  settle(records, *halt_);
}

std::unique_ptr<Endpoint> make_endpoint(const Component& component) {
  return std::make_unique<MarketoEndpoint>(component);
}

}  // namespace muskrat::marketo

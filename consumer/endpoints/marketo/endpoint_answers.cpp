// What an answer means for each record. What the endpoint is to blame for parks it and uses no attempt; what is in the
// records is halved until the bad one stands alone.
#include <utility>

#include "consumer/endpoints/marketo/endpoint.hpp"

namespace muskrat::marketo {
namespace {

constexpr milliseconds window{20'000};     // in which Marketo counts calls
constexpr milliseconds again_wait{1'000};  // after an error inside Marketo

}  // namespace

void MarketoEndpoint::judge(Pendings records, const Answer& answer) {
  if (answer.may_still_run) held_->may_run_until(std::chrono::steady_clock::now() + rest_);
  if (answer.unreadable) return unreadable(records, answer);
  if (answer.whose != Whose::later) ++answers_;
  switch (answer.whose) {
    case Whose::none:
      return match(records, answer);
    case Whose::dead:
      if (is_the_mappings(answer.code)) return halt(records, park_for_the_mapping(answer.reason));
      return halve(records, Outcome::dead(answer.reason));
    case Whose::too_much:
      return halve(records, Outcome::dead(answer.reason + ", though it was sent alone"));
    case Whose::later:
      return later(records, answer);
    default:
      return halt(records, Outcome::park(answer.reason, answer.retry_after.value_or(wait_of(answer.whose))));
  }
}

void MarketoEndpoint::halve(Pendings records, const Outcome& alone) {
  if (records.size() == 1) return settle(records, alone);
  const size_t middle = records.size() / 2;
  send(records.first(middle));
  send(records.subspan(middle));
}

// Once for each delivery: what passes by itself costs no halves.
void MarketoEndpoint::again(Pendings records) {
  if (!sleep(again_wait)) return send(records);
  halt(records, Outcome::untried("not tried yet: the host stops"));
}

// One bad record, or Marketo in trouble? Where several on end fail alone, it is Marketo.
void MarketoEndpoint::later(Pendings records, const Answer& answer) {
  ++answers_;
  if (answer.retry_after) return halt(records, Outcome::park(answer.reason, *answer.retry_after));
  if (records.size() > 1 && !std::exchange(again_, true)) return again(records);
  if (records.size() > 1) return halve(records, Outcome::retry(answer.reason));
  settle(records, Outcome::retry(answer.reason));
  if (++failures_ >= failures_most) halt_ = Outcome::park(answer.reason + ", to several events on end", down_.next());
}

// It may have been done: it is sent again, which changes nothing. When it goes on, it is the endpoint's trouble.
void MarketoEndpoint::unreadable(Pendings records, const Answer& answer) {
  ++answers_;
  if (++unreadable_ < failures_most) return settle(records, Outcome::retry(answer.reason));
  halt(records, Outcome::park(answer.reason + ", several times on end", down_.next()));
}

void MarketoEndpoint::match(Pendings records, const Answer& answer) {
  if (answer.records.size() != records.size()) {
    Answer odd;
    odd.reason = "the answer holds " + std::to_string(answer.records.size()) + " results for " +
                 std::to_string(records.size()) + " records, so that none can be told apart";
    return unreadable(records, odd);
  }
  for (size_t i = 0; i < records.size(); ++i) *records[i]->outcome = outcome_of(records[i]->record, answer.records[i]);
  if (!halt_) works();
}

// A field that is not there: of records that all look alike none does better than the others.
bool MarketoEndpoint::is_the_mappings(const std::string& code) const { return one_shape_ && code == "1006"; }

// Once, however many records say so.
Outcome MarketoEndpoint::park_for_the_mapping(const std::string& reason) {
  if (!halt_) halt_ = Outcome::park(reason + "; look at the endpoint's fields, and at Marketo's", setup_.next());
  return *halt_;
}

// Whether it is as it was to be, though Marketo calls that a failure: deleted already, or made by an earlier try.
bool MarketoEndpoint::so_already(const Record& record, const std::string& code) const {
  return record.removes ? code == "1004" || code == "1013" : create_only_ && code == "1017";
}

Outcome MarketoEndpoint::outcome_of(const Record& record, const RecordAnswer& answer) {
  if (so_already(record, answer.code)) return Outcome::done();
  switch (answer.whose) {
    case Whose::none:
      return Outcome::done();
    case Whose::dead:
      if (is_the_mappings(answer.code)) return park_for_the_mapping(answer.reason);
      return missing_lead_again_ && answer.code == "1004" ? Outcome::retry(answer.reason)
                                                          : Outcome::dead(answer.reason);
    case Whose::later:
    case Whose::token:
    case Whose::too_much:
      return Outcome::retry(answer.reason);
    default:
      return Outcome::park(answer.reason, wait_of(answer.whose));
  }
}

milliseconds MarketoEndpoint::wait_of(Whose whose) {
  if (whose == Whose::window) return window;
  if (whose == Whose::crowded) return crowded_.next();
  if (whose == Whose::quota) return until_reset(wall_clock_us());
  return whose == Whose::down ? down_.next() : setup_.next();
}

void MarketoEndpoint::works() {
  for (Backoff* backoff : {&down_, &crowded_, &setup_}) backoff->reset();
  failures_ = unreadable_ = 0;
}

}  // namespace muskrat::marketo

// One call, and the few that belong together: looking leads up before they are deleted.
#include <algorithm>
#include <iterator>
#include <set>

#include "consumer/endpoints/marketo/endpoint.hpp"
#include "consumer/limits/call_gate.hpp"

namespace muskrat::marketo {

void MarketoEndpoint::send(Pendings records) {
  if (halt_) return settle(records, *halt_);
  const bool removes = records.front()->record.removes;
  try {
    if (removes && target_.finds_before_delete()) return remove_leads(records);
    std::vector<const Record*> list;
    for (const Pending* pending : records) list.push_back(&pending->record);
    change(records, target_.path(removes), target_.request(list, removes));
  } catch (const Failure& failure) {
    // A call without an answer may still run at Marketo: until then no other carries its keys.
    if (api_.unanswered()) held_->may_run_until(std::chrono::steady_clock::now() + rest_);
    // what was answered stays answered; the next delivery meets the trouble first
    if (answers_ == 0) throw;
    halt(records, Outcome::untried(failure.what()));
  }
}

void MarketoEndpoint::change(Pendings records, const std::string& path, const std::string& body) {
  if (const auto reply = call(records, path, body, "application/json")) judge(records, reply->answer);
}

// Who is not there is deleted already.
void MarketoEndpoint::remove_leads(Pendings records) {
  FoundLeads found;
  if (!find(records, found)) return;
  std::vector<const Pending*> there, absent;
  std::vector<std::string> ids;
  std::set<std::string> asked;
  for (const Pending* pending : records) {
    asked.insert(pending->record.key);
    const auto [first, last] = found.equal_range(pending->record.key);
    *pending->outcome = first == last ? Outcome::done() : Outcome::dead(code_text("1007"));
    if (first == last) absent.push_back(pending);
    if (std::distance(first, last) != 1) continue;
    there.push_back(pending);
    ids.push_back(first->second);
  }
  const bool all_told_apart =
      std::all_of(found.begin(), found.end(), [&](const auto& lead) { return asked.contains(lead.first); });
  if (!there.empty()) change(there, target_.path(true), delete_by_id(ids));
  if (!all_told_apart && !absent.empty()) remove_by_themselves(absent, records.size() == 1);
}

// Marketo found a lead by one of these values and spells it otherwise (é for É, 7 for 007): which one, shows when each
// is asked for alone. Whether that lead is the row's is not for us to say, and a deletion is not taken back.
void MarketoEndpoint::remove_by_themselves(Pendings records, bool was_alone) {
  if (was_alone)
    return settle(records, Outcome::dead("Marketo finds a lead by another spelling of " + target_.key_text() +
                                         "; it is not deleted"));
  if (records.size() == 1) return send(records);
  halve(records, Outcome::done());
}

// False: it failed, and the records are settled.
bool MarketoEndpoint::find(Pendings records, FoundLeads& found) {
  std::vector<const Record*> list;
  for (const Pending* pending : records) list.push_back(&pending->record);
  std::string page;
  do {
    const auto reply = call(records, find_path, target_.find_request(list, page), "application/x-www-form-urlencoded");
    if (!reply) return false;
    Answer answer = reply->answer;
    if (answer.whose == Whose::none && !target_.read_found(reply->response, found, page)) {
      answer.unreadable = true;
      answer.reason = "the answer holds leads without id or " + target_.key_text();
    }
    if (answer.unreadable || answer.whose != Whose::none) return judge(records, answer), false;
  } while (!page.empty());
  return true;
}

// nullopt: it may not be made now, and the records are settled.
std::optional<Reply> MarketoEndpoint::call(Pendings records, const std::string& path, const std::string& body,
                                           const std::string& content_type) {
  std::vector<std::string> fields;
  for (const Pending* pending : records)
    fields.insert(fields.end(), pending->record.fields.begin(), pending->record.fields.end());
  std::sort(fields.begin(), fields.end());
  fields.erase(std::unique(fields.begin(), fields.end()), fields.end());
  return api_.call(
      path, body, content_type, fields, [&] { return may_call(records, patience_, rest_); }, deadline_);
}

// A call that may be made is noted: it may go on for `span` when nobody waits for it.
bool MarketoEndpoint::may_call(Pendings records, Deadline patience, milliseconds span) {
  const std::string why_not = enter(records.size(), patience);
  if (!why_not.empty()) halt(records, Outcome::untried(why_not));
  if (why_not.empty()) held_->note(span);
  return why_not.empty();
}

bool MarketoEndpoint::may_look() {
  const std::string why_not = enter(0, deadline_);
  if (!why_not.empty()) halt_ = Outcome::untried(why_not);
  return why_not.empty();
}

std::string MarketoEndpoint::enter(size_t records, Deadline patience) {
  if (patience.passed()) return "not tried yet: the time of one delivery is used up";
  return gate() == nullptr ? "" : gate()->enter(records, patience);
}

bool MarketoEndpoint::sleep(milliseconds span) const { return gate() != nullptr && gate()->sleep(span); }

}  // namespace muskrat::marketo

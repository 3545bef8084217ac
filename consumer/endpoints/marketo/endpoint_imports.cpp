// A large delivery goes as one import (bulk.hpp), which later deliveries find again (imports.hpp); what an import did
// not do goes as calls, whose answers say why.
#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "common/json.hpp"
#include "common/log.hpp"
#include "consumer/endpoints/marketo/csv.hpp"
#include "consumer/endpoints/marketo/endpoint.hpp"
#include "consumer/jobs.hpp"

namespace muskrat::marketo {
namespace {

constexpr milliseconds unknown_import{10 * 60'000};  // an import of which we have no number is over by then
constexpr milliseconds import_life = std::chrono::hours(7 * 24);  // for so long Marketo knows it

}  // namespace

void MarketoEndpoint::read_notes() {
  notes_.read([&](const std::string&, const std::string& text, milliseconds left) {
    std::string why;
    const auto note = json::Document::parse(text, why);
    if (!note || imports_->add_noted(note->root())) return;
    for (const std::string& key : api::keys_in(note->root())) keys_->rest(key, std::chrono::steady_clock::now() + left);
  });
}

std::string MarketoEndpoint::version_of(const Pending& pending) {
  return api::key_digest(pending.event->message_id + " " + pending.record.text);
}

// One import of all that one may hold; returns what goes as calls.
std::vector<const Pending*> MarketoEndpoint::import(const std::vector<const Pending*>& waiting) {
  std::vector<const Pending*> others;
  std::vector<const Pending*> rows;
  api::HeldKeys keys(*keys_, &notes_);
  const std::string csv = csv_of(waiting, rows, others, keys);
  held_ = &keys;
  if (rows.size() < bulk_from_ || !begin_import(csv, rows)) {
    if (!halt_) others.insert(others.end(), rows.begin(), rows.end());
    if (!halt_) keys.give_back();  // they go as calls
    return others;
  }
  imported_.add(static_cast<double>(rows.size()));
  rows = settle_imported(rows, true);
  keys.give_back();
  others.insert(others.end(), rows.begin(), rows.end());
  return others;
}

// The file of those that have the most common fields, as many as it holds: `rows`.
std::string MarketoEndpoint::csv_of(const std::vector<const Pending*>& waiting, std::vector<const Pending*>& rows,
                                    std::vector<const Pending*>& others, api::HeldKeys& keys) const {
  std::map<std::string, std::vector<std::pair<const Pending*, Cells>>> shapes;
  std::set<std::string_view> removed;  // what follows a deletion of its key must not go before it
  for (const Pending* pending : waiting) {
    if (pending->record.removes) removed.insert(pending->key);
    auto cells = removed.contains(pending->key) ? std::nullopt : cells_of(pending->record);
    if (cells)
      shapes[csv_header(*cells)].emplace_back(pending, std::move(*cells));
    else
      others.push_back(pending);
  }
  const auto fewer = [](const auto& one, const auto& other) { return one.second.size() < other.second.size(); };
  const auto most = std::max_element(shapes.begin(), shapes.end(), fewer);
  if (most == shapes.end()) return "";
  std::string csv = most->first;
  for (const auto& [pending, cells] : most->second) {
    const std::string row = csv_row(cells);
    if (csv.size() + row.size() > Bulk::most_bytes) {
      others.push_back(pending);
    } else if (take_key(*pending, keys)) {
      csv += row;
      rows.push_back(pending);
    }
  }
  for (const auto& shape : shapes)
    if (&shape != &*most)
      for (const auto& one : shape.second) others.push_back(one.first);
  return csv;
}

// False: there is none, and the rows go as calls, or are settled.
bool MarketoEndpoint::begin_import(const std::string& csv, const std::vector<const Pending*>& rows) {
  std::optional<Bulk::Begun> begun;
  try {
    begun = bulk_.begin(
        csv, [&] { return may_call(rows, deadline_, unknown_import); }, deadline_);
  } catch (const Failure& failure) {
    if (api_.unanswered()) held_->may_run_until(std::chrono::steady_clock::now() + unknown_import);
    if (answers_ == 0) throw;
    return halt(rows, Outcome::untried(failure.what())), false;
  }
  if (!begun) return false;
  ++answers_;
  if (!begun->import.empty()) return note_import(begun->import, rows), true;
  const Answer& answer = begun->answer;
  const bool refused = answer.whose == Whose::dead || answer.whose == Whose::too_much || answer.code == "1016";
  if (refused) {
    log::info("consumer", "no import: its records go as calls", {{"why", answer.reason}});
    return false;
  }
  // whether Marketo has the file is not known
  if (answer.unreadable || answer.whose == Whose::none || answer.whose == Whose::later || answer.may_still_run)
    held_->may_run_until(std::chrono::steady_clock::now() + unknown_import);
  const std::string reason = answer.whose == Whose::none ? "the answer names no import" : answer.reason;
  halt(rows, Outcome::park("bulk import: " + reason, answer.retry_after.value_or(wait_of(answer.whose))));
  return false;
}

void MarketoEndpoint::note_import(const std::string& import, const std::vector<const Pending*>& rows) {
  Imports::Members members;
  for (const Pending* pending : rows) members[pending->key] = version_of(*pending);
  const Imports::Origin origin{name_, wall_clock_us()};
  notes_.write(Imports::note_id(import), Imports::note_text(import, members, origin), import_life);
  imports_->add(import, members, origin);
  list_import(import, "Queued");
  held_->end_note();
}

// With the endpoint that began it, whichever looks.
void MarketoEndpoint::list_import(const std::string& import, const std::string& state) const {
  if (jobs() == nullptr) return;
  const Imports::Origin origin = imports_->origin(import);
  if (origin.endpoint.empty()) return;
  jobs()->set(origin.endpoint, {import, "bulk import", imports_->rows(import), origin.since_us, state});
  if (!imports_->at_work(import)) jobs()->end(origin.endpoint, import);  // another lane saw its end meanwhile
}

// What imports have done is done; returns what is in none, or was not done. While one is under way, its records wait.
std::vector<const Pending*> MarketoEndpoint::settle_imported(const std::vector<const Pending*>& waiting,
                                                             bool just_begun) {
  std::map<std::string, std::vector<const Pending*>> under_way;
  for (const Pending* pending : waiting)
    if (const auto import = imports_->under_way(pending->key)) under_way[*import].push_back(pending);
  for (const auto& [import, records] : under_way) await(import, records, just_begun);
  std::vector<const Pending*> left;
  for (const Pending* pending : waiting) {
    if (imports_->under_way(pending->key))
      *pending->outcome = halt_ ? *halt_ : Outcome::untried("the bulk import is at work still");
    else if (imports_->take_done(pending->key, version_of(*pending)))
      *pending->outcome = Outcome::done();
    else
      left.push_back(pending);
  }
  for (const std::string& import : imports_->take_told()) notes_.forget(Imports::note_id(import));
  return left;
}

// Until it is over, the time is used up or something is in the way.
void MarketoEndpoint::await(const std::string& import, const std::vector<const Pending*>& records, bool just_begun) {
  unsigned gone = 0;
  for (bool first = !just_begun; imports_->rows(import) > 0; first = false) {
    if (!first && (deadline_.instant() <= std::chrono::steady_clock::now() + bulk_look_ || sleep(bulk_look_))) return;
    std::optional<Bulk::Look> look;
    try {
      look = bulk_.look(
          import, imports_->rows(import), [&] { return may_look(); }, deadline_);
    } catch (const Failure&) {
      continue;  // a server that stumbles works on it all the same
    }
    if (!look) return;
    // one such answer may come from a server that does not know of it yet
    gone = look->gone ? gone + 1 : 0;
    look->over = look->over || gone >= failures_most;
    const Whose whose = look->answer.whose;
    const bool passes = whose == Whose::none || whose == Whose::later || whose == Whose::down || look->gone;
    if (!look->over && !passes) {
      halt_ = Outcome::park(look->answer.reason, look->answer.retry_after.value_or(wait_of(whose)));
      return;
    }
    ++answers_;
    if (!look->state.empty()) list_import(import, look->state);
    if (look->over) return end_import(import, *look, records);
  }
}

void MarketoEndpoint::end_import(const std::string& import, const Bulk::Look& look,
                                 const std::vector<const Pending*>& records) {
  const auto keys = imports_->keys(import);
  std::set<std::string> failed, done(keys.begin(), keys.end());
  for (const std::string& key : look.failed) failed.insert(api::key_digest(target_.object() + " " + key));
  // a failed row that is none of ours may be one that we do not recognise
  bool known = look.known;
  for (const std::string& key : failed) known = done.erase(key) == 1 && known;
  if (!known) done.clear();
  log::info("consumer", "import is over",
            {{"import", import},
             {"done", static_cast<int64_t>(done.size())},
             {"left", static_cast<int64_t>(imports_->rows(import) - done.size())}});
  for (const Pending* pending : records)
    if (look.warned.contains(pending->record.key)) {
      import_warnings_.add();
      log::warning("consumer", "imported with a warning; Marketo's file of warnings says which",
                   {{"import", import}, {"message_id", pending->event->message_id}});
    }
  const Imports::Origin origin = imports_->origin(import);
  imports_->end(import, done);
  if (jobs() != nullptr) jobs()->end(origin.endpoint, import);
}

}  // namespace muskrat::marketo

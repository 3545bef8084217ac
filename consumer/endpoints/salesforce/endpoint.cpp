// Events become records of one sObject, upserted by external id; see docs/salesforce.md.
//
// A collection of at most 200 is one call and has a result for each record, in the order sent. A deletion is a call of
// its own. All lanes share one session (session.hpp), renewed once when an answer says that it ended. No two calls
// under way have one external id, nor one parent, whose lock they would fight for (api/keys_in_use.hpp). What was not
// tried, because the endpoint got into trouble or the time was used up, is parked and uses no attempt.
#include "consumer/endpoints/salesforce/endpoint.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "common/backoff.hpp"
#include "common/log.hpp"
#include "consumer/endpoints/api/client.hpp"
#include "consumer/endpoints/api/keys_in_use.hpp"
#include "consumer/endpoints/api/shared.hpp"
#include "consumer/endpoints/salesforce/bulk.hpp"
#include "consumer/endpoints/salesforce/calls.hpp"
#include "consumer/endpoints/salesforce/csv.hpp"
#include "consumer/endpoints/salesforce/left_jobs.hpp"
#include "consumer/endpoints/salesforce/look.hpp"
#include "consumer/endpoints/salesforce/records.hpp"
#include "consumer/endpoints/salesforce/verdict.hpp"
#include "consumer/jobs.hpp"

namespace muskrat::salesforce {
namespace {

using Batch = std::span<const Record* const>;

constexpr size_t collection_most = 200, bulk_answer_bytes = size_t{256} << 20;
constexpr milliseconds key_wait{2'000}, key_look{20};
constexpr unsigned lone_failures_most = 3;
constexpr milliseconds put_off_most{5'000};  // for so long records wait for a call that is full
constexpr milliseconds again_wait{1'000};    // after an error inside Salesforce

// Whose endpoints share what is in use.
std::string org_of(const Settings& settings) {
  return "salesforce " + settings.text("login_url") + " " + settings.text("username");
}

// Who sees the same jobs: another org, or another user, may answer 404 for one that is at work.
std::string session_of(const Settings& settings) {
  return org_of(settings) + " " + settings.text("client_id") + " " + settings.text("refresh_token_file");
}

class SalesforceEndpoint : public Endpoint {
 public:
  explicit SalesforceEndpoint(const Component& component)
      : name_(component.name),
        settings_(component.settings),
        records_(component.settings),
        one_shape_(!component.settings.records("fields").empty()),
        bulk_from_(static_cast<size_t>(component.settings.integer("bulk_from"))),
        calls_(component.settings),
        keys_(api::shared_by<api::KeysInUse>(org_of(component.settings))),
        left_jobs_(api::shared_by<LeftJobs>(session_of(component.settings))) {}

  void connect(Deadline deadline) override { calls_.connect(gate(), deadline, bulk_from_ > 0 ? bulk_answer_bytes : 0); }

  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override {
    begin(deadline);
    left_jobs_->look(calls_, *keys_, settings_.duration("unanswered_rest"));
    std::vector<Outcome> outcomes(batch.size());
    std::vector<Record> records;
    records.reserve(batch.size());
    std::vector<const Record*> upserts, removals;
    std::set<std::string_view> removed;
    for (size_t i = 0; i < batch.size(); ++i) {
      auto record = records_.record(*batch[i], outcomes[i]);
      if (!record) continue;
      records.push_back(std::move(*record));
      fates_[&records.back()] = &outcomes[i];
      // removals go last: what follows one of the same external id must not go before it
      if (removed.contains(records.back().key)) {
        outcomes[i] = Outcome::wait("a deletion of the same external id goes first", key_look);
        continue;
      }
      if (records.back().remove) removed.insert(records.back().key);
      (records.back().remove ? removals : upserts).push_back(&records.back());
    }
    if (bulk_from_ > 0 && upserts.size() >= bulk_from_ && std::chrono::steady_clock::now() >= no_bulk_until_)
      upserts = send_bulk(std::move(upserts));
    backlog_ = upserts.size() >= collection_most;
    send_all(std::move(upserts), collection_most);
    backlog_ = false;
    send_all(std::move(removals), 1);
    return outcomes;
  }

 private:
  void begin(Deadline deadline) {
    deadline_ = deadline;
    // each request has at least half of the time to itself
    patience_ = Deadline::in(milliseconds(deadline.poll_timeout() / 2));
    halt_.reset();
    fates_.clear();
    answers_ = lone_failures_ = 0;
    again_ = false;
  }

  // ---- which records go in which call ----

  // A call goes out as full as it can be: while another lane's call has what this one wants, it is waited for; not for
  // long, and not for what rests.
  void send_all(std::vector<const Record*> waiting, size_t most) {
    const Deadline keys_free = Deadline::in(key_wait).sooner(patience_);
    while (!waiting.empty() && !halt_) {
      std::optional<api::HeldKeys> keys(std::in_place, *keys_);
      std::vector<const Record*> left = waiting, taken;
      const auto call = next_call(left, taken, most, *keys);
      if (!taken.empty() && !keys_free.passed()) {
        keys.reset();  // nobody waits for what a waiting lane has
        if (!calls_.sleep(key_look)) continue;
        return settle(waiting, Outcome::untried("not tried yet: the process is to stop"));
      }
      for (const Record* record : taken) wait(*record, key_look);
      waiting = std::move(left);
      held_ = &*keys;
      if (can_wait(call.size()))
        settle(call, Outcome::untried("not tried yet: it goes with others"));
      else if (!call.empty())
        send(call);
    }
    if (halt_) settle(waiting, *halt_);
  }

  // Where there is a backlog, what is left of a delivery goes with others: a call for a few takes one of the day's. Not
  // for long, so that it ends.
  bool can_wait(size_t records) {
    const SteadyTime now = std::chrono::steady_clock::now();
    const bool few = backlog_ && records > 0 && records * 8 < collection_most * 7;
    if (few && first_put_off_ == SteadyTime{}) first_put_off_ = now;
    if (few && now - first_put_off_ < put_off_most) return true;
    if (records > 0) first_put_off_ = {};
    return false;
  }

  // Takes from `waiting` what one call may hold, of one external id one record, the first; and those that another call
  // has. What rests waits for itself.
  std::vector<const Record*> next_call(std::vector<const Record*>& waiting, std::vector<const Record*>& taken,
                                       size_t most, api::HeldKeys& keys) {
    std::vector<const Record*> call, left;
    for (const Record* record : waiting) {
      if (call.size() == most || keys.holds(record->key))
        left.push_back(record);
      else if (keys.add(record->key, record->parents))
        call.push_back(record);
      else if (const milliseconds rest = rests_for(*record); rest.count() > 0)
        wait(*record, rest);
      else
        taken.push_back(record);
    }
    waiting = std::move(left);
    return call;
  }

  milliseconds rests_for(const Record& record) const {
    milliseconds rest = keys_->taken_for(record.key);
    for (const std::string& parent : record.parents) rest = std::max(rest, keys_->taken_for(parent));
    return rest;
  }

  void wait(const Record& record, milliseconds span) {
    *fates_.at(&record) = Outcome::wait("another call with the same external id or parent is under way", span);
  }

  void settle(Batch records, const Outcome& outcome) {
    for (const Record* record : records) *fates_.at(record) = outcome;
  }

  void halt(Batch records, Outcome outcome) {
    halt_ = std::move(outcome);
    settle(records, *halt_);
  }

  // ---- a bulk job ----

  // One job for all that it may hold; returns what goes in collections.
  std::vector<const Record*> send_bulk(std::vector<const Record*> waiting) {
    std::vector<const Record*> others, taken;
    const auto fits = [](const Record* record) { return fits_in_csv(*record); };
    std::partition_copy(std::make_move_iterator(waiting.begin()), std::make_move_iterator(waiting.end()),
                        std::back_inserter(taken), std::back_inserter(others), fits);
    waiting = std::exchange(taken, {});
    api::HeldKeys keys(*keys_);
    auto job = next_call(waiting, taken, waiting.size(), keys);
    for (auto* rest : {&waiting, &taken}) others.insert(others.end(), rest->begin(), rest->end());
    if (job.size() < bulk_from_) return others.insert(others.end(), job.begin(), job.end()), others;
    held_ = &keys;
    auto left = run_bulk(job);
    left.insert(left.end(), others.begin(), others.end());  // which may have later states of them
    return left;
  }

  // Returns what the job did not come to because it failed as a whole.
  std::vector<const Record*> run_bulk(Batch records) {
    const auto listing = std::make_shared<JobListing>(jobs(), name_, "bulk job", records.size());
    std::string id;
    BulkJob job(calls_, records_, settings_, deadline_,
                [&](const auto& named, const auto& state) { listing->heard(id = named, state); });
    try {
      job.run(records);
    } catch (const Failure& failure) {
      if (!job.end().begun) throw;
      halt_ = Outcome::untried(failure.what());
    }
    const BulkEnd& end = job.end();
    ++answers_;
    if (end.refusal && !end.begun) return refuse_bulk(records, *end.refusal), std::vector<const Record*>{};
    if (end.begun && end.aborted) held_->may_run_until(longest_call());
    if (end.begun && !end.over && !end.aborted)
      left_jobs_->add({name_, job.path(), id, keys_of(records), listing}, *keys_);
    if (end.begun && (end.failed || !end.over)) no_bulk_until_ = std::chrono::steady_clock::now() + no_bulk_.next();
    if (end.failed)
      log::warning("consumer", "a bulk job failed; its records go in collections",
                   {{"endpoint", name_}, {"job", id}, {"why", reason_of(end.error)}});
    if (end.not_now) halt_ = *end.not_now;
    if (end.over && !end.failed && !end.unread) works(), no_bulk_.reset();
    return take_results(records, end);
  }

  static std::vector<std::string> keys_of(Batch records) {
    std::vector<std::string> keys;
    for (const Record* record : records) keys.push_back(record->key);
    return keys;
  }

  // As run_bulk(). Of a failed job a part may be done.
  std::vector<const Record*> take_results(Batch records, const BulkEnd& end) {
    std::vector<const Record*> left;
    const Outcome rest = without_result(end);
    for (const Record* record : records) {
      const auto found = end.results.find(record->key);
      if (found == end.results.end() && end.failed && !halt_)
        left.push_back(record);
      else
        *fates_.at(record) = found == end.results.end() ? halt_.value_or(rest)
                             : found->second            ? outcome_of(*record, *found->second)
                                                        : Outcome::done();
    }
    return left;
  }

  Outcome without_result(const BulkEnd& end) {
    if (halt_) return *halt_;
    if (end.unread && !end.failed) return unclear("the bulk job ended, and its results cannot be read");
    if (end.over) return Outcome::retry("the bulk job ended, and its results do not name the record");
    if (end.refusal)
      return stop_after(
          Outcome::park("bulk job: " + reason_of(end.refusal->status, read_error(end.refusal->body)), down_.next()));
    return Outcome::untried("the bulk job is at work still; what it does is not known yet");
  }

  // Before it began: nothing of it was done.
  void refuse_bulk(Batch records, const http::Response& response) {
    const Error error = read_error(response.body);
    const Verdict verdict = verdict_of_answer(response.status, error);
    const std::string reason = "bulk job: " + reason_of(response.status, error);
    if (verdict == Verdict::limit) return halt(records, limited(reason));
    const bool passes = verdict == Verdict::down || verdict == Verdict::shaky || verdict == Verdict::renew;
    halt(records, Outcome::park(reason, passes ? down_.next() : setup_.next()));
  }

  // ---- a call ----

  void send(Batch records) {
    const bool removal = records.front()->remove;
    const auto response =
        answer_to(removal ? records_.removal(*records.front()) : records_.upsert(records), records, records.size());
    if (response) judge(records, *response);
  }

  // The answer to a call for these records, `counted` of which go with it; nullopt: there is none, and they are
  // settled.
  std::optional<http::Response> answer_to(const http::Request& request, Batch records, size_t counted) {
    if (halt_) return settle(records, *halt_), std::nullopt;
    if (patience_.passed())
      return halt(records, Outcome::untried("not tried yet: the time of one delivery is used up")), std::nullopt;
    try {
      auto reply = calls_.send(request, counted, patience_, deadline_);
      if (!reply.response) halt(records, std::move(reply.not_now));
      if (reply.response) ++answers_;
      return std::move(reply.response);
    } catch (const Failure& failure) {
      if (calls_.unanswered() && request.method != "GET") held_->may_run_until(longest_call());
      // what was answered stays answered; the next delivery meets the trouble first
      if (answers_ == 0) throw;
      return halt(records, Outcome::untried(failure.what())), std::nullopt;
    }
  }

  // A call without an answer may go on at Salesforce: until then no other has its keys.
  SteadyTime longest_call() const { return std::chrono::steady_clock::now() + settings_.duration("unanswered_rest"); }

  // ---- what came of it ----

  void judge(Batch records, const http::Response& response) {
    const bool removal = records.front()->remove;
    if (response.status == 502 || response.status == 504) held_->may_run_until(longest_call());
    if (removal && (response.status == 204 || response.status == 200)) return works(), settle(records, Outcome::done());
    if (!removal && response.status == 200) return read_results(records, response);
    if (response.status == 300) return several(records);
    const Error error = read_error(response.body);
    if (removal && error.code == "ENTITY_IS_DELETED") return works(), settle(records, Outcome::done());
    if (removal && may_be_gone(response.status, error)) return look(records);
    refused(records, response.status, error);
  }

  // A field that is not there has words of its own.
  static bool may_be_gone(int status, const Error& error) {
    return status == 404 && error.message.find("external ID field") == std::string::npos;
  }

  void several(Batch records) {
    settle(records, Outcome::dead("answer 300: several records have this external id; make the field unique"));
  }

  // A record that was not found by its external id, alone in its call.
  void look(Batch record) {
    const std::string& value = record.front()->external_id;
    const auto response = answer_to(records_.look(*record.front(), numbers_), record, 0);
    if (!response) return;
    if (response->status == 200) return take_look(record, *response);
    const Error error = read_error(response->body);
    if (error.code == "INVALID_FIELD") {
      // a field of numbers, in whatever language that is said
      if (is_number(value) && missing_column(error).empty() && !std::exchange(numbers_, true)) return look(record);
      if (is_of_another_type(error) || (numbers_ && !is_number(value)))
        return settle(record, Outcome::dead("the external id is of another type than its field"));
      numbers_ = false;
    }
    if (verdict_of_answer(response->status, error) == Verdict::shape)
      return halt(record, Outcome::park(reason_of(response->status, error), setup_.next()));
    refused(record, response->status, error);
  }

  void take_look(Batch record, const http::Response& response) {
    const auto ids = response.cut ? std::nullopt : read_ids(response.body);
    if (!ids) return odd(record, "answer 200 to the look for a record that was not found does not list records");
    if (ids->size() > 1) return several(record);
    if (ids->empty()) return works(), settle(record, Outcome::done());
    const auto answer = answer_to(records_.removal_of(ids->front()), record, 0);
    if (answer) judge_by_id(record, *answer);
  }

  void judge_by_id(Batch record, const http::Response& response) {
    if (response.status == 502 || response.status == 504) held_->may_run_until(longest_call());
    const Error error = read_error(response.body);
    if (response.status == 204 || response.status == 200 || error.code == "ENTITY_IS_DELETED")
      return works(), settle(record, Outcome::done());
    // it was there a moment ago
    if (response.status == 404) return settle(record, Outcome::retry(reason_of(response.status, error)));
    refused(record, response.status, error);
  }

  void refused(Batch records, int status, const Error& error) {
    const std::string reason = reason_of(status, error);
    switch (verdict_of_answer(status, error)) {
      case Verdict::narrow:
        return halve(records, records.front()->remove ? Outcome::retry(reason)
                                                      : Outcome::dead(reason + ", though it was sent alone"));
      case Verdict::shape:
        // of records that all look alike none does better than the others
        return one_shape_ ? halt(records, Outcome::park(reason, setup_.next())) : to_the_record(records, reason);
      case Verdict::shaky:
      case Verdict::retry:
        if (records.size() > 1 && !std::exchange(again_, true)) return again(records);
        return to_the_record(records, reason);
      case Verdict::limit:
        return halt(records, limited(reason));
      case Verdict::renew:
        return halt(records, Outcome::park(reason + "; a new session was refused too", down_.next()));
      case Verdict::down:
        return halt(records, Outcome::park(reason, down_.next()));
      default:
        return halt(records, Outcome::park(reason, setup_.next()));
    }
  }

  // The day's calls are used up; or too many were under way at once.
  Outcome limited(const std::string& reason) {
    Session& session = calls_.session();
    if (!session.used_up()) {
      session.crowded();
      return Outcome::park(reason, down_.next());
    }
    session.rest(reason);
    milliseconds left{0};
    const std::string why = session.resting(100, left);
    return Outcome::park(why, left);
  }

  void halve(Batch records, const Outcome& alone) {
    if (records.size() == 1) return settle(records, alone);
    const size_t middle = records.size() / 2;
    send(records.first(middle));
    send(records.subspan(middle));
  }

  // Once for each delivery: what passes by itself costs no halves.
  void again(Batch records) {
    if (!calls_.sleep(again_wait)) return send(records);
    halt(records, Outcome::untried("not tried yet: the process is to stop"));
  }

  // One bad record, or a server that is down? Where several on end fail alone, it is the server.
  void to_the_record(Batch records, const std::string& reason) {
    if (records.size() > 1) return halve(records, Outcome::retry(reason));
    settle(records, Outcome::retry(reason));
    if (++lone_failures_ >= lone_failures_most)
      halt_ = Outcome::park(reason + ", to several events on end", down_.next());
  }

  void works() {
    down_.reset();
    setup_.reset();
    lone_failures_ = odd_answers_ = 0;
  }

  // ---- results, record by record ----

  void read_results(Batch records, const http::Response& response) {
    if (response.cut) return odd(records, "answer 200 is cut off: it is half, or longer than response_bytes");
    std::string why;
    const auto document = json::Document::parse(response.body, why);
    if (!document)
      return halt(records,
                  Outcome::park("answer 200 is no JSON: a login page, or another server than meant", down_.next()));
    const auto list = document->root();
    if (list.type() != json::Type::array || list.size() != records.size())
      return odd(records,
                 "answer 200 does not hold one result for each of the " + std::to_string(records.size()) + " records");
    works();
    for (size_t i = 0; i < records.size(); ++i) *fates_.at(records[i]) = outcome_of(*records[i], list.at(i));
  }

  // It may have been done: an upsert can be repeated, so that all of them go again. When it goes on, it is the
  // endpoint's trouble.
  void odd(Batch records, const std::string& reason) { settle(records, unclear(reason)); }

  Outcome unclear(const std::string& reason) {
    if (++odd_answers_ < lone_failures_most) return Outcome::retry(reason);
    return stop_after(Outcome::park(reason + ", several times on end", down_.next()));
  }

  Outcome outcome_of(const Record& record, const json::Value& result) {
    const auto success = result.type() == json::Type::object ? result.find("success") : std::nullopt;
    if (!success || success->type() != json::Type::boolean) return Outcome::retry("a result that cannot be read");
    if (success->boolean()) return Outcome::done();
    const auto errors = result.find("errors");
    return outcome_of(record, errors ? read_error(*errors) : Error{});
  }

  Outcome outcome_of(const Record& record, const Error& error) {
    const std::string reason = reason_of(error, record.names_by_external_id);
    switch (verdict_of_record(error, record.names_by_external_id)) {
      case Verdict::dead:
        return Outcome::dead(reason);
      case Verdict::limit:
        return stop_after(limited(reason));
      case Verdict::shape:
        return one_shape_ ? stop_after(Outcome::park(reason, setup_.next())) : Outcome::dead(reason);
      case Verdict::park:
        return stop_after(Outcome::park(reason, setup_.next()));
      case Verdict::down:
      case Verdict::renew:
        return stop_after(Outcome::park(reason, down_.next()));
      default:
        return Outcome::retry(reason);
    }
  }

  Outcome stop_after(Outcome outcome) {
    halt_ = std::move(outcome);
    return *halt_;
  }

  const std::string name_;
  const Settings& settings_;
  const Records records_;
  const bool one_shape_;  // all records have the same fields
  const size_t bulk_from_;
  Calls calls_;
  const std::shared_ptr<api::KeysInUse> keys_;
  const std::shared_ptr<LeftJobs> left_jobs_;
  // What a person has to mend is looked at again after so long that the endpoint is parked and says why.
  Backoff down_{milliseconds(1'000), milliseconds(60'000)}, setup_{milliseconds(80'000), milliseconds(600'000)};
  // After a job that did not do its work deliveries go in collections for so long, else the same job may fail for ever.
  Backoff no_bulk_{milliseconds(60'000), milliseconds(600'000)};
  SteadyTime no_bulk_until_{};
  unsigned odd_answers_ = 0;
  bool numbers_ = false;        // the external id's field holds numbers
  SteadyTime first_put_off_{};  // since then records are given back for a fuller call

  // of one delivery
  Deadline deadline_ = Deadline::distant(), patience_ = Deadline::distant();
  std::map<const Record*, Outcome*> fates_;
  std::optional<Outcome> halt_;    // what the rest gets
  api::HeldKeys* held_ = nullptr;  // of the call under way
  unsigned answers_ = 0, lone_failures_ = 0;
  bool again_ = false;    // a call was made a second time
  bool backlog_ = false;  // it holds as many as a call
};

}  // namespace

std::unique_ptr<Endpoint> make_endpoint(const Component& component) {
  return std::make_unique<SalesforceEndpoint>(component);
}

}  // namespace muskrat::salesforce

// The endpoint kind `http`: each event, or a batch of them, is a request; see docs/endpoints.md.
//
// An answer is judged by its status (http/verdict.hpp) and, with `results: expected`, record by record. A batch that is
// refused for what is in it is halved until the bad record stands alone. What was not tried, because the endpoint got
// into trouble or the time was used up, is parked and uses no attempt. What got no answer goes last from then on, and
// alone (http/suspects.hpp): where others of its delivery are answered, the failure is its own.
#include <algorithm>
#include <exception>
#include <map>
#include <numeric>
#include <utility>

#include "common/backoff.hpp"
#include "common/log.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/endpoints/api/client.hpp"
#include "consumer/endpoints/http/options.hpp"
#include "consumer/endpoints/http/requests.hpp"
#include "consumer/endpoints/http/suspects.hpp"
#include "consumer/endpoints/http/verdict.hpp"
#include "consumer/endpoints/results.hpp"
#include "consumer/limits/call_gate.hpp"
#include "consumer/state/guarded.hpp"

namespace muskrat {
namespace {

using namespace http_endpoint;
using Fate = Outcome::Fate;
using Records = std::span<const Record* const>;

constexpr milliseconds backoff_first{1'000}, backoff_most{60'000};
constexpr unsigned lone_failures_most = 3;
constexpr size_t suspects_most = 10'000;

Outcome park(std::string why, milliseconds until) { return Outcome::park(std::move(why), until); }

class HttpEndpoint : public Endpoint {
 public:
  explicit HttpEndpoint(const Component& component)
      : settings_(component.settings),
        name_(component.name),
        verdicts_(component.settings, ignored_),
        results_expected_(component.settings.text("results") == "expected"),
        backoff_(backoff_first, backoff_most) {}

  // No server is asked: there is no request that is harmless everywhere.
  void connect(Deadline) override {
    requests_.emplace(settings_);
    http::Options options = api::client_of(settings_);
    options.refuse_private = settings_.text("private_networks") == "refuse";
    client_.emplace(options);
  }

  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override {
    deadline_ = deadline;
    // each request has at least half of the time to itself
    patience_ = Deadline::in(milliseconds(deadline.poll_timeout() / 2));
    halt_.reset();
    answers_ = lone_failures_ = 0;
    batch_ = batch;
    outcomes_.assign(batch.size(), Outcome());
    records_.assign(batch.size(), Record());
    order();
    prepared_ = 0;
    ahead_failure_ = nullptr;
    if (requests_->batch() == Batch::single)
      send_each();
    else
      send_grouped();
    return std::move(outcomes_);
  }

 private:
  void order() {
    order_.resize(batch_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    if (suspects_.empty()) return;
    std::stable_sort(order_.begin(), order_.end(), [this](size_t a, size_t b) {
      return suspects_.failures(batch_[a]->message_id) < suspects_.failures(batch_[b]->message_id);
    });
  }

  // Makes the records of the first `count` events to go; where an event has none, its outcome says why.
  void prepare(size_t count) {
    for (; prepared_ < count; ++prepared_) {
      const size_t place = order_[prepared_];
      if (auto record = requests_->record(*batch_[place], outcomes_[place])) records_[place] = std::move(*record);
    }
  }

  void send_each() {
    for (size_t i = 0; i < batch_.size(); ++i) {
      if (!halt_) prepare_or_halt(i + 1);
      const Record* record = &records_[order_[i]];
      if (i >= prepared_)
        outcomes_[order_[i]] = *halt_;
      else if (record->event != nullptr)
        send(Records(&record, 1));
    }
  }

  // While the server works on a request, the next is made ready. What fails here is told in its turn.
  void prepare_ahead() noexcept {
    try {
      prepare(std::min(prepared_ + 1, batch_.size()));
    } catch (...) {
      ahead_failure_ = std::current_exception();
    }
  }

  // The process that runs jq may fail. What was answered stays answered.
  void prepare_or_halt(size_t count) {
    try {
      if (ahead_failure_) std::rethrow_exception(std::exchange(ahead_failure_, nullptr));
      prepare(count);
    } catch (const Failure& failure) {
      if (answers_ == 0) throw;
      halt_ = Outcome::untried(failure.what());
    }
  }

  void send_grouped() {
    prepare(batch_.size());
    for (const auto& group : grouped()) send(group);
  }

  bool is_suspect(const Record& record) const { return suspects_.failures(record.event->message_id) > 0; }

  // Records that share a request, in the order of their first ones.
  std::vector<std::vector<const Record*>> grouped() const {
    std::vector<std::vector<const Record*>> groups;
    for (const size_t place : order_) {
      const Record& record = records_[place];
      if (record.event == nullptr) continue;
      const auto same = [&](const auto& group) { return group.front()->same_request(record); };
      auto group = is_suspect(record) ? groups.end() : std::find_if(groups.begin(), groups.end(), same);
      if (group == groups.end()) group = groups.insert(groups.end(), {{}});
      group->push_back(&record);
    }
    return groups;
  }

  Outcome& fate_of(const Record* record) { return outcomes_[static_cast<size_t>(record - records_.data())]; }

  void settle(Records records, const Outcome& outcome) {
    for (const Record* record : records) fate_of(record) = outcome;
  }

  void halt(Records records, Outcome outcome) {
    halt_ = std::move(outcome);
    settle(records, *halt_);
  }

  void send(Records records) {
    if (halt_) return settle(records, *halt_);
    if (patience_.passed())
      return halt(records, park("not tried yet: the time of one delivery is used up", milliseconds(0)));
    try {
      const std::string why_not = gate() == nullptr ? "" : gate()->enter(records.size(), patience_);
      if (!why_not.empty()) return halt(records, Outcome::untried(why_not));
      if (const auto response = answer(records)) judge(records, *response);
    } catch (const Failure& failure) {
      // what was answered stays answered; the next delivery meets the trouble first
      if (answers_ == 0) throw;
      halt(records, Outcome::untried(failure.what()));
    }
  }

  // nullopt: there was none, and the record is settled. Failure: it is the endpoint's.
  std::optional<http::Response> answer(Records records) {
    try {
      auto response = client_->send(requests_->request(records, wall_clock_us() / 1'000'000), deadline_,
                                    [this] { prepare_ahead(); });
      ++answers_;
      for (const Record* record : records) suspects_.answered(record->event->message_id);
      return response;
    } catch (const http::NotSent& failure) {
      if (requests_->shared_url()) throw;  // no event's fault
      unanswered(records, failure);
    } catch (const Failure& failure) {
      unanswered(records, failure);
    }
    return std::nullopt;
  }

  // Is it over the event, or is the receiver down? Others of this delivery that were answered say so; of several on end
  // that were not it is the receiver's, for now. Called while `failure` is handled.
  void unanswered(Records records, const Failure& failure) {
    const bool alone = is_suspect(*records.front());
    for (const Record* record : records) suspects_.unanswered(record->event->message_id);
    if (answers_ == 0 || !alone) throw;
    settle(records, Outcome::retry(failure.what()));
    if (++lone_failures_ >= lone_failures_most) halt_ = Outcome::untried(failure.what());
  }

  void judge(Records records, const http::Response& response) {
    switch (verdicts_.of(response.status, requests_->shared_url())) {
      case Verdict::done:
        return taken(records, response);
      case Verdict::dead:
        return halve(records, Outcome::dead(reason_of(response.status)));
      case Verdict::split:
        return halve(records, Outcome::dead(reason_of(response.status) + ", though it was sent alone"));
      case Verdict::retry:
        return try_later(records, response);
      case Verdict::park:
        return halt(records, park(reason_of(response.status), wait_of(response)));
    }
  }

  void halve(Records records, const Outcome& alone) {
    if (records.size() == 1) return settle(records, alone);
    const size_t middle = records.size() / 2;
    send(records.first(middle));
    send(records.subspan(middle));
  }

  // One bad record, or a server that is down? Where several on end fail alone, it is the server.
  void try_later(Records records, const http::Response& response) {
    const std::string reason = reason_of(response.status);
    if (response.header("Retry-After")) return halt(records, park(reason, wait_of(response)));
    if (records.size() > 1) return halve(records, Outcome::retry(reason));
    settle(records, Outcome::retry(reason));
    if (++lone_failures_ >= lone_failures_most) halt_ = park(reason + ", to several events on end", backoff_.next());
  }

  milliseconds wait_of(const http::Response& response) {
    const auto header = response.header("Retry-After");
    const auto asked = header ? http::retry_after(*header, wall_clock_us() / 1'000'000) : std::nullopt;
    return asked ? *asked : backoff_.next();
  }

  void taken(Records records, const http::Response& response) {
    if (results_expected_) return read_results(records, response);
    works();
    settle(records, Outcome::done());
  }

  void works() {
    backoff_.reset();
    lone_failures_ = 0;
  }

  // ---- results, record by record ----

  void read_results(Records records, const http::Response& response) {
    const std::string type(response.header("Content-Type").value_or(""));
    const std::string answer = "answer " + std::to_string(response.status);
    if (type.find("html") != std::string::npos)
      return halt(records,
                  park(answer + " is " + tame(type) + " where JSON is due: a login page, or another server than meant",
                       backoff_.next()));
    if (response.cut)
      return settle(records, Outcome::retry(answer + " is cut off: it is half, or longer than response_bytes"));
    std::string why;
    const auto document = json::Document::parse(response.body, why);
    if (!document) return settle(records, Outcome::retry(answer + " is no JSON: " + why));
    auto list = document->root();
    if (list.type() == json::Type::object) list = list.find("results").value_or(list);
    if (list.type() != json::Type::array) return settle(records, Outcome::retry(answer + " holds no list of results"));
    works();
    match(records, list);
  }

  // By message_id; by place where none is given and the numbers agree.
  void match(Records records, const json::Value& list) {
    settle(records, Outcome::retry("the answer has no result for this event"));
    std::map<std::string_view, const Record*> by_id;
    for (const Record* record : records)
      if (!record->event->message_id.empty()) by_id.emplace(record->event->message_id, record);
    bool by_place = list.size() == records.size();
    for (size_t i = 0; i < list.size(); ++i) by_place = by_place && result_message_id(list.at(i)).empty();
    for (size_t i = 0; i < list.size(); ++i) {
      std::string why;
      const auto result = read_result(list.at(i), why);
      const auto named = by_id.find(result_message_id(list.at(i)));
      const Record* record = by_place ? records[i] : named != by_id.end() ? named->second : nullptr;
      if (record == nullptr) {
        log::warning("consumer", "a result belongs to no event",
                     {{"endpoint", name_}, {"results", uint64_t{list.size()}}, {"records", uint64_t{records.size()}}});
      } else {
        fate_of(record) = result ? outcome_of(*result) : Outcome::retry("the answer's result: " + why);
      }
    }
  }

  Outcome outcome_of(const RecordResult& result) {
    if (result.outcome) return *result.outcome;
    const std::string reason = "result with " + reason_of(result.status);
    switch (verdicts_.of(result.status, false)) {
      case Verdict::done:
        return Outcome::done();
      case Verdict::retry:
        return Outcome::retry(reason);
      case Verdict::park:
        return park(reason, backoff_.next());
      default:
        return Outcome::dead(reason);
    }
  }

  const Settings& settings_;
  const std::string name_;
  std::vector<Problem> ignored_;  // validate() has told them
  const Verdicts verdicts_;
  const bool results_expected_;
  Backoff backoff_;
  std::optional<Requests> requests_;
  std::optional<http::Client> client_;

  Suspects suspects_{suspects_most};

  // of one delivery
  Deadline deadline_ = Deadline::distant(), patience_ = Deadline::distant();
  std::span<const Event* const> batch_;
  std::vector<Outcome> outcomes_;
  std::vector<Record> records_;  // by place in the batch; without an event where nothing is sent
  std::vector<size_t> order_;    // in which they go
  size_t prepared_ = 0;          // so many of them are made, in this order
  std::exception_ptr ahead_failure_;
  std::optional<Outcome> halt_;  // what the rest gets
  unsigned answers_ = 0, lone_failures_ = 0;
};

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_mapping(settings, problems);
  check_requests(settings, problems);
  const Verdicts verdicts(settings, problems);
}

// Up to the request: an event that URL or headers cannot be filled from is a dead letter too.
Explanation explain(const Component& component, const Event& event) {
  Outcome outcome;
  if (Requests(component.settings).record(event, outcome)) return explain_document(component, event);
  return {outcome.fate == Fate::skipped ? Explanation::Fate::skips : Explanation::Fate::dead, outcome.reason};
}

std::unique_ptr<Endpoint> make(const Component& component) { return std::make_unique<HttpEndpoint>(component); }

bool each_is_a_call(const Settings& settings) { return settings.text("batch") == "single"; }

}  // namespace

const EndpointKind& http_endpoint_kind() {
  static const EndpointKind kind{
      {"http", "sends each event, or batches of them, as HTTP requests: webhooks and simple APIs", options(), validate},
      make,
      4,
      true,
      milliseconds(5),
      explain,
      nullptr,  // its receiver cannot be compared
      each_is_a_call};
  return kind;
}

}  // namespace muskrat

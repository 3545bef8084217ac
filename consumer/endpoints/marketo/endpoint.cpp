// The endpoint kind `marketo`: events become leads; see docs/endpoints.md.
//
// Leads travel many in a call, and answers are matched to them by their place. Concurrent upserts with one key make
// duplicates in Marketo: no two calls under way carry one key, over all lanes and endpoints of this process
// (api/keys_in_use.hpp). A refused token is renewed once for each call. What the endpoint is to blame for parks it and
// uses no attempt; what is in the records is halved until the bad one stands alone.
#include <algorithm>
#include <array>
#include <thread>

#include "common/backoff.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/endpoints/api/keys_in_use.hpp"
#include "consumer/endpoints/api/shared.hpp"
#include "consumer/endpoints/marketo/answer.hpp"
#include "consumer/endpoints/marketo/identity.hpp"
#include "consumer/endpoints/marketo/leads.hpp"
#include "consumer/limits/call_gate.hpp"
#include "consumer/state/guarded.hpp"

namespace muskrat {
namespace {

using namespace marketo;

constexpr milliseconds window{20'000};        // in which Marketo counts calls
constexpr milliseconds longest_call{90'000};  // after which Marketo itself gives up
constexpr milliseconds key_wait{2'000}, key_look{20};
constexpr unsigned failures_most = 3;

struct Record {
  Lead lead;
  Outcome* outcome = nullptr;
};
using Records = std::span<const Record* const>;

class MarketoEndpoint : public Endpoint {
 public:
  explicit MarketoEndpoint(const Component& component)
      : settings_(component.settings),
        leads_(component.settings),
        missing_lead_again_(component.settings.text("missing_lead") == "retry"),
        base_(base_url(component.settings)),
        token_(api::shared_by<api::SharedToken>(identity_url(component.settings) + " " +
                                                component.settings.text("client_id"))),
        keys_(api::shared_by<api::KeysInUse>(base_)) {}

  // A token shows that address, id and secret are right; no call of the quota is used.
  void connect(Deadline deadline) override {
    http::Options options;
    options.connect_timeout = settings_.duration("connect_timeout");
    options.response_bytes = static_cast<size_t>(settings_.bytes("response_bytes"));
    options.ca_file = settings_.text("ca_file");
    options.proxy_from_environment = settings_.text("proxy") == "environment";
    client_.emplace(options);
    token(deadline);
  }

  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override {
    deadline_ = deadline;
    // each call has at least half of the time to itself
    patience_ = Deadline::in(milliseconds(deadline.poll_timeout() / 2));
    halt_.reset();
    answers_ = failures_ = 0;
    std::vector<Outcome> outcomes(batch.size());
    std::vector<Record> records;
    records.reserve(batch.size());
    for (size_t i = 0; i < batch.size(); ++i)
      if (auto lead = leads_.lead(*batch[i], outcomes[i])) records.push_back({std::move(*lead), &outcomes[i]});
    std::vector<const Record*> waiting;
    waiting.reserve(records.size());
    for (const Record& record : records) waiting.push_back(&record);
    send_all(std::move(waiting));
    return outcomes;
  }

 private:
  // ---- which records go in which call ----

  void send_all(std::vector<const Record*> waiting) {
    const Deadline keys_free = Deadline::in(key_wait).sooner(patience_);
    while (!waiting.empty() && !halt_) {
      api::HeldKeys keys(*keys_);
      const auto call = next_call(waiting, keys);
      if (!call.empty()) {
        held_ = &keys;
        send(call);
      } else if (keys_free.passed() || rest(key_look)) {
        halt_ = Outcome::untried("not tried yet: another call with the same " + settings_.text("lookup_field") +
                                 " is under way");
      }
    }
    settle(waiting, halt_.value_or(Outcome()));
  }

  // Takes from `waiting` what one call may hold; of one key one record, the first.
  std::vector<const Record*> next_call(std::vector<const Record*>& waiting, api::HeldKeys& keys) const {
    std::vector<const Record*> call, left;
    size_t bytes = 0;
    bool full = false;
    for (const Record* record : waiting) {
      const size_t more = record->lead.text.size() + 1;
      full = full || call.size() == Leads::most_records || bytes + more > leads_.room() + 1;
      if (full || !keys.add(settings_.text("lookup_field") + "=" + record->lead.key)) {
        left.push_back(record);
        continue;
      }
      bytes += more;
      call.push_back(record);
    }
    waiting = std::move(left);
    return call;
  }

  // True when the process is to stop.
  bool rest(milliseconds span) const {
    if (gate() != nullptr) return gate()->sleep(span);
    std::this_thread::sleep_for(span);
    return false;
  }

  static void settle(Records records, const Outcome& outcome) {
    for (const Record* record : records) *record->outcome = outcome;
  }

  void halt(Records records, Outcome outcome) {
    halt_ = std::move(outcome);
    settle(records, *halt_);
  }

  // ---- a call ----

  void send(Records records) {
    if (halt_) return settle(records, *halt_);
    try {
      if (const auto answer = call(records)) judge(records, *answer);
    } catch (const Failure& failure) {
      // what was answered stays answered; the next delivery meets the trouble first
      if (answers_ == 0) throw;
      halt(records, Outcome::untried(failure.what()));
    }
  }

  // nullopt: it may not be made now, and the records are settled.
  std::optional<Answer> call(Records records) {
    std::vector<const Lead*> leads;
    std::vector<std::string> fields;
    for (const Record* record : records) {
      leads.push_back(&record->lead);
      fields.insert(fields.end(), record->lead.fields.begin(), record->lead.fields.end());
    }
    std::sort(fields.begin(), fields.end());
    fields.erase(std::unique(fields.begin(), fields.end()), fields.end());
    http::Request request{"POST", base_ + "/rest/v1/leads.json", {}, leads_.request(leads)};
    std::string token = this->token(deadline_);
    for (bool renewed = false;; renewed = true) {
      if (!may_call(records)) return std::nullopt;
      request.headers = {{"Content-Type", "application/json"},
                         {"User-Agent", "muskrat/" MUSKRAT_VERSION},
                         {"Authorization", "Bearer " + token}};
      Answer answer = read_answer(exchange(request), fields);
      if (answer.whose != Whose::token || renewed) return answer;
      token = token_->renew(token, fetch(), deadline_);
    }
  }

  bool may_call(Records records) {
    std::string why_not = patience_.passed() ? "not tried yet: the time of one delivery is used up" : "";
    if (why_not.empty() && gate() != nullptr) why_not = gate()->enter(records.size(), patience_);
    if (!why_not.empty()) halt(records, Outcome::untried(why_not));
    return why_not.empty();
  }

  // A call without an answer may still run at Marketo: until then no other carries its keys.
  http::Response exchange(const http::Request& request) {
    const SteadyTime begun = std::chrono::steady_clock::now();
    try {
      return client_->send(request, deadline_);
    } catch (const http::NotSent&) {
      throw;
    } catch (const Failure&) {
      held_->may_run_until(begun + longest_call);
      throw;
    }
  }

  api::SharedToken::Fetch fetch() {
    return [this](Deadline deadline) { return fetch_token(*client_, settings_, deadline); };
  }
  std::string token(Deadline deadline) { return token_->get(fetch(), deadline); }

  // ---- what came of it ----

  void judge(Records records, const Answer& answer) {
    if (answer.may_still_run) held_->may_run_until(std::chrono::steady_clock::now() + longest_call);
    if (answer.unreadable) return unreadable(records, answer);
    if (answer.whose != Whose::later) ++answers_;
    switch (answer.whose) {
      case Whose::none:
        return match(records, answer);
      case Whose::dead:
        return halve(records, Outcome::dead(answer.reason));
      case Whose::too_much:
        return halve(records, Outcome::dead(answer.reason + ", though it was sent alone"));
      case Whose::later:
        return later(records, answer);
      default:
        return halt(records, Outcome::park(answer.reason, answer.retry_after.value_or(wait_of(answer.whose))));
    }
  }

  void halve(Records records, const Outcome& alone) {
    if (records.size() == 1) return settle(records, alone);
    const size_t middle = records.size() / 2;
    send(records.first(middle));
    send(records.subspan(middle));
  }

  // One bad record, or Marketo in trouble? Where several on end fail alone, it is Marketo.
  void later(Records records, const Answer& answer) {
    ++answers_;
    if (answer.retry_after) return halt(records, Outcome::park(answer.reason, *answer.retry_after));
    if (records.size() > 1) return halve(records, Outcome::retry(answer.reason));
    settle(records, Outcome::retry(answer.reason));
    if (++failures_ >= failures_most) halt_ = Outcome::park(answer.reason + ", to several events on end", down_.next());
  }

  // It may have been done: it is sent again, which changes nothing. When it goes on, it is the endpoint's trouble.
  void unreadable(Records records, const Answer& answer) {
    ++answers_;
    if (++unreadable_ < failures_most) return settle(records, Outcome::retry(answer.reason));
    halt(records, Outcome::park(answer.reason + ", several times on end", down_.next()));
  }

  void match(Records records, const Answer& answer) {
    if (answer.records.size() != records.size()) {
      Answer odd;
      odd.reason = "the answer holds " + std::to_string(answer.records.size()) + " results for " +
                   std::to_string(records.size()) + " leads, so that none can be told apart";
      return unreadable(records, odd);
    }
    works();
    for (size_t i = 0; i < records.size(); ++i) *records[i]->outcome = outcome_of(answer.records[i]);
  }

  Outcome outcome_of(const RecordAnswer& answer) {
    switch (answer.whose) {
      case Whose::none:
        return Outcome::done();
      case Whose::dead:
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

  milliseconds wait_of(Whose whose) {
    if (whose == Whose::window) return window;
    if (whose == Whose::crowded) return crowded_.next();
    if (whose == Whose::quota) return until_reset(wall_clock_us());
    return whose == Whose::down ? down_.next() : setup_.next();
  }

  void works() {
    for (Backoff* backoff : {&down_, &crowded_, &setup_}) backoff->reset();
    failures_ = unreadable_ = 0;
  }

  const Settings& settings_;
  const Leads leads_;
  const bool missing_lead_again_;
  const std::string base_;
  const std::shared_ptr<api::SharedToken> token_;
  const std::shared_ptr<api::KeysInUse> keys_;
  std::optional<http::Client> client_;
  Backoff down_{milliseconds(1'000), milliseconds(60'000)}, crowded_{milliseconds(1'000), milliseconds(20'000)},
      setup_{milliseconds(5'000), milliseconds(300'000)};
  unsigned unreadable_ = 0;

  // of one delivery
  Deadline deadline_ = Deadline::distant(), patience_ = Deadline::distant();
  std::optional<Outcome> halt_;    // what the rest gets
  api::HeldKeys* held_ = nullptr;  // of the call under way
  unsigned answers_ = 0, failures_ = 0;
};

constexpr std::array own_options{
    Option{"url", OptionType::text, "", "",
           "The instance's address without /rest, such as https://123-ABC-456.mktorest.com (Admin, Web Services).",
           true},
    Option{"identity_url", OptionType::text, "", "",
           "The address of its identity service, without /oauth. Default: url with /identity."},
    Option{"client_id", OptionType::text, "", "", "The client id of the API user's service (Admin, LaunchPoint).",
           true},
    Option{"client_secret", OptionType::secret, "", "", "Its client secret; read anew with each token.", true},
    Option{"action", OptionType::choice, "createOrUpdate", "createOrUpdate|createOnly|updateOnly",
           "Whether leads that are not there are made, and those that are there changed."},
    Option{
        "lookup_field", OptionType::text, "email", "",
        "The field by which Marketo finds a lead; it must be in every one. No two calls with one value of it are ever "
        "under way."},
    Option{"partition", OptionType::text, "", "", "The lead partition for new leads. Default: the API user's."},
    Option{"missing_lead", OptionType::choice, "dead", "dead|retry",
           "What becomes of an event whose lead is not there (1004, action: updateOnly): a dead letter, or tried again "
           "first, for leads that others make."},
    Option{"deletes", OptionType::choice, "dead", "dead|skip",
           "What becomes of events that delete a row, since no lead is deleted: dead letters, or passed over."},
    Option{"connect_timeout", OptionType::duration, "10s", "100ms..5m", "How long a connection may take to be made."},
    Option{"response_bytes", OptionType::bytes, "4MiB", "64KiB..1GiB", "How much of an answer is read, decompressed."},
    Option{"ca_file", OptionType::text, "", "",
           "The certificate authorities (PEM) that may vouch for the server. Default: the system's."},
    Option{"proxy", OptionType::choice, "none", "none|environment",
           "Whether https_proxy and its kind in the environment are obeyed."},
    state::guard_option,
    state::guard_key_option,
    state::seen_for_option,
};

// Adobe asks integrations for no more than half of what Marketo takes (100 calls in 20 s, 10 at once): with five lanes,
// five at once.
constexpr std::array own_defaults{
    KindDefault{"batch_size", "300"},
    KindDefault{"rate", "50 per 20s"},
    KindDefault{"quota_zone", "America/Chicago"},
    KindDefault{"timeout", "3m"},
};

OptionTable options() {
  static const std::vector<Option> all = joined({own_options, mapping_options()});
  return all;
}

void check_url(const Settings& settings, const char* name, std::vector<Problem>& problems) {
  const std::string& url = settings.text(name);
  const auto wrong = [&](const std::string& what) {
    problems.push_back({settings.where(name), std::string(name) + ": " + what});
  };
  const std::string_view rest = std::string_view(url).substr(std::min(url.size(), size_t{7}));
  const bool near = rest.starts_with("localhost") || rest.starts_with("127.") || rest.starts_with("[::1]");
  if (url.starts_with("http://") ? !near : !url.starts_with("https://"))
    return wrong("it begins with no https://, and the secret would travel in clear text");
  if (url.find_first_of("?# ") != std::string::npos) return wrong("it holds more than an address: ?, # or a space");
  if (url.ends_with("/rest") || url.ends_with("/rest/")) wrong("leave out /rest at its end");
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_url(settings, "url", problems);
  if (settings.has("identity_url")) check_url(settings, "identity_url", problems);
  check_leads(settings, problems);
}

// The request that the event alone would make.
Explanation explain(const Component& component, const Event& event) {
  const Leads leads(component.settings);
  Outcome outcome;
  const auto lead = leads.lead(event, outcome);
  if (!lead)
    return {outcome.fate == Outcome::Fate::skipped ? Explanation::Fate::skips : Explanation::Fate::dead,
            outcome.reason};
  const std::array one{&*lead};
  return {Explanation::Fate::sends, leads.request(one)};
}

std::unique_ptr<Endpoint> make(const Component& component) { return std::make_unique<MarketoEndpoint>(component); }

bool each_is_a_call(const Settings&) { return false; }

}  // namespace

const EndpointKind& marketo_endpoint() {
  static const EndpointKind kind{
      {"marketo", "creates and updates leads in Marketo, many in a call", options(), validate, 10, own_defaults},
      make,
      5,
      true,
      milliseconds(500),
      explain,
      nullptr,  // Marketo's leads are not compared
      each_is_a_call};
  return kind;
}

}  // namespace muskrat

#include "consumer/endpoints/salesforce/calls.hpp"

#include <algorithm>
#include <thread>

#include "consumer/endpoints/api/client.hpp"
#include "consumer/endpoints/salesforce/verdict.hpp"
#include "consumer/limits/call_gate.hpp"

namespace muskrat::salesforce {
namespace {

constexpr milliseconds crowd_look{20}, gate_wait{1'000};

// A place among the calls under way.
class Place {
 public:
  explicit Place(Session& session) : session_(session) {}
  ~Place() { session_.leave(); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  Session& session_;
};

}  // namespace

void Calls::connect(CallGate* gate, Deadline deadline, size_t answer_bytes) {
  gate_ = gate;
  http::Options options = api::client_of(settings_);
  options.response_bytes = std::max(options.response_bytes, answer_bytes);
  options.once = true;  // a call made again while the first still runs may overtake it
  client_.emplace(options);
  session_->token.get(fetch(), deadline);
}

api::SharedToken::Fetch Calls::fetch() {
  return [this](Deadline deadline) { return session_->login(*client_, settings_, deadline); };
}

bool Calls::sleep(milliseconds span) const {
  if (gate_ != nullptr) return gate_->sleep(span);
  std::this_thread::sleep_for(span);
  return false;
}

Calls::Reply Calls::send(const http::Request& request, size_t records, Deadline patience, Deadline deadline, Way way) {
  unanswered_ = false;
  api::Token token = session_->token.get(fetch(), deadline);
  for (bool renewed = false;; renewed = true) {
    if (auto not_now = enter(records, patience, way)) return {std::nullopt, std::move(*not_now)};
    auto response = exchange(request, token, deadline);
    if (renewed || response.status != 401 || verdict_of_answer(401, read_error(response.body)) != Verdict::renew)
      return {std::move(response), {}};
    token = session_->token.renew(token.text, fetch(), deadline);
  }
}

// Takes a place among the calls under way, which exchange() gives back.
std::optional<Outcome> Calls::enter(size_t records, Deadline patience, Way way) {
  milliseconds left{0};
  const int64_t share = way == Way::plain ? settings_.integer("quota_share") : 100;
  if (std::string why = way == Way::ending ? "" : session_->resting(share, left); !why.empty())
    return Outcome::park(std::move(why), left);
  if (std::string why = pass_gate(records, patience, way); !why.empty()) return Outcome::untried(why);
  while (!session_->enter())
    if (patience.passed() || (gate_ != nullptr && gate_->closed()) || sleep(crowd_look))
      return Outcome::untried("not tried yet: as many calls as Salesforce takes at once are under way");
  return std::nullopt;
}

// Why not; "": it may go. A call that ends work keeps to a rate where it can, and is counted.
std::string Calls::pass_gate(size_t records, Deadline patience, Way way) {
  if (gate_ == nullptr) return "";
  if (way != Way::ending) return gate_->enter(records, patience);
  try {
    gate_->enter(records, Deadline::in(gate_wait).sooner(patience));
  } catch (const Failure&) {  // the count cannot be read
  }
  return "";
}

http::Response Calls::exchange(http::Request request, const api::Token& token, Deadline deadline) {
  const Place place(*session_);
  request.url = token.base_url + request.url;
  request.headers.emplace_back("Authorization", "Bearer " + token.text);
  const auto accept = [](const auto& header) { return header.first == "Accept"; };
  if (std::none_of(request.headers.begin(), request.headers.end(), accept))
    request.headers.emplace_back("Accept", "application/json");
  request.headers.emplace_back("User-Agent", "muskrat/" MUSKRAT_VERSION);
  try {
    auto response = client_->send(request, deadline);
    if (const auto info = response.header("Sforce-Limit-Info"))
      if (const auto usage = read_usage(*info)) session_->note(*usage);
    return response;
  } catch (const http::NotSent&) {
    throw;
  } catch (const Failure&) {
    unanswered_ = true;
    throw;
  }
}

}  // namespace muskrat::salesforce

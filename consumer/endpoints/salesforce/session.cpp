#include "consumer/endpoints/salesforce/session.hpp"

#include <algorithm>

#include "consumer/endpoints/api/shared.hpp"

namespace muskrat::salesforce {
namespace {

constexpr milliseconds look_every{300'000}, quiet{60'000};

}  // namespace

void Session::note(const Usage& usage) {
  const std::lock_guard lock(mutex_);
  usage_ = usage;
  noted_ = std::chrono::steady_clock::now();
}

std::string Session::resting(int64_t share_percent, milliseconds& left) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  const auto until = [&](SteadyTime end) {
    left = std::max(std::chrono::ceil<milliseconds>(end - now), milliseconds(1));
  };
  if (now < rest_until_) return until(rest_until_), why_;
  const double percent =
      usage_.most == 0 ? 0 : 100.0 * static_cast<double>(usage_.used) / static_cast<double>(usage_.most);
  if (percent < static_cast<double>(share_percent) || now >= noted_ + look_every) return "";
  until(noted_ + look_every);
  return "the org has used " + std::to_string(usage_.used) + " of its " + std::to_string(usage_.most) +
         " API calls of 24 hours" +
         (share_percent < 100 ? ", and quota_share is " + std::to_string(share_percent) : "") +
         "; looked at again every five minutes";
}

void Session::rest(std::string why) {
  const std::lock_guard lock(mutex_);
  rest_until_ = std::chrono::steady_clock::now() + look_every;
  why_ = std::move(why) + "; looked at again every five minutes";
}

bool Session::used_up() {
  const std::lock_guard lock(mutex_);
  return usage_.most == 0 || usage_.used >= usage_.most;
}

bool Session::enter() {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (most_at_once_ && now >= more_at_) {
    ++*most_at_once_;
    more_at_ = now + quiet;
  }
  if (most_at_once_ && under_way_ >= *most_at_once_) return false;
  ++under_way_;
  return true;
}

void Session::leave() {
  const std::lock_guard lock(mutex_);
  --under_way_;
}

void Session::crowded() {
  const std::lock_guard lock(mutex_);
  most_at_once_ = std::max(1, std::min(most_at_once_.value_or(under_way_), under_way_) / 2);
  more_at_ = std::chrono::steady_clock::now() + quiet;
}

std::shared_ptr<Session> shared_session(const Settings& settings) {
  std::string who;
  for (const char* name : {"login_url", "login", "client_id", "username", "audience", "refresh_token_file", "ca_file"})
    who += settings.text(name) + "\n";
  return api::shared_by<Session>(who);
}

}  // namespace muskrat::salesforce

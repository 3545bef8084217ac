#include "consumer/endpoints/api/token.hpp"

#include <algorithm>

#include "common/failure.hpp"

namespace muskrat::api {
namespace {

// A token is not used in the last minute of its life. One that has less left when it comes (some servers give out the
// same one until its end) serves for a second.
constexpr milliseconds margin{60'000}, least{1'000};

std::unique_lock<std::timed_mutex> locked(std::timed_mutex& mutex, Deadline deadline) {
  std::unique_lock lock(mutex, deadline.instant());
  if (!lock.owns_lock())
    throw Failure(Remedy::reconnect, "the access token, which another lane is fetching, did not come in time");
  return lock;
}

}  // namespace

std::string SharedToken::get(const Fetch& fetch, Deadline deadline) {
  const auto lock = locked(mutex_, deadline);
  if (std::chrono::steady_clock::now() < until_) return token_;
  return fetched(fetch, deadline);
}

std::string SharedToken::renew(const std::string& refused, const Fetch& fetch, Deadline deadline) {
  const auto lock = locked(mutex_, deadline);
  if (token_ != refused && std::chrono::steady_clock::now() < until_) return token_;
  until_ = {};
  return fetched(fetch, deadline);
}

std::string SharedToken::fetched(const Fetch& fetch, Deadline deadline) {
  const SteadyTime asked = std::chrono::steady_clock::now();
  Token token = fetch(deadline);
  until_ = asked + std::max(token.life - margin, least);
  return token_ = std::move(token.text);
}

}  // namespace muskrat::api

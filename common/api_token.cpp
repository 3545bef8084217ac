#include "common/api_token.hpp"

#include <algorithm>

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

Token SharedToken::get(const Fetch& fetch, Deadline deadline) {
  const SteadyTime came = std::chrono::steady_clock::now();
  const auto lock = locked(mutex_, deadline);
  if (std::chrono::steady_clock::now() < until_) return token_;
  return fetched(fetch, came, deadline);
}

Token SharedToken::renew(const std::string& refused, const Fetch& fetch, Deadline deadline) {
  const SteadyTime came = std::chrono::steady_clock::now();
  const auto lock = locked(mutex_, deadline);
  if (token_.text != refused && std::chrono::steady_clock::now() < until_) return token_;
  until_ = {};
  return fetched(fetch, came, deadline);
}

Token SharedToken::fetched(const Fetch& fetch, SteadyTime came, Deadline deadline) {
  if (failure_ && came < failed_at_) throw Failure(*failure_);  // of the fetch that it waited for
  const SteadyTime asked = std::chrono::steady_clock::now();
  try {
    Token token = fetch(deadline);
    failure_.reset();
    until_ = asked + std::max(token.life - margin, least);
    return token_ = std::move(token);
  } catch (const Failure& failure) {
    failure_ = failure;
    failed_at_ = std::chrono::steady_clock::now();
    throw;
  }
}

}  // namespace muskrat::api

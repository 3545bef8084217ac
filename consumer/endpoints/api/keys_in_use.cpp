#include "consumer/endpoints/api/keys_in_use.hpp"

#include <algorithm>

namespace muskrat::api {

bool KeysInUse::take(const std::string& key) {
  std::lock_guard lock(mutex_);
  const SteadyTime now = std::chrono::steady_clock::now();
  std::erase_if(ending_, [&](const auto& one) { return one.second <= now; });
  return !ending_.contains(key) && taken_.insert(key).second;
}

void KeysInUse::give_back(const std::string& key, SteadyTime free_at) {
  std::lock_guard lock(mutex_);
  taken_.erase(key);
  if (free_at > std::chrono::steady_clock::now()) ending_[key] = free_at;
}

HeldKeys::~HeldKeys() {
  for (const std::string& key : held_) keys_.give_back(key, free_at_);
}

bool HeldKeys::add(const std::string& key) {
  if (!keys_.take(key)) return false;
  held_.push_back(key);
  return true;
}

void HeldKeys::may_run_until(SteadyTime instant) { free_at_ = std::max(free_at_, instant); }

}  // namespace muskrat::api

#include "consumer/subscription.hpp"

#include <algorithm>

namespace muskrat {

Subscription::Subscription(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns)
    if (auto binding = binding_of_pattern(pattern)) bindings_.push_back(std::move(*binding));
}

bool Subscription::takes(const Event& event) {
  const std::string with_actions = event.as.empty() ? "" : event.routing_key + ' ' + event.as;
  const std::string& name = event.as.empty() ? event.routing_key : with_actions;
  if (const auto known = answers_.find(name); known != answers_.end()) return known->second;
  if (answers_.size() >= most_remembered) answers_.clear();
  return answers_.emplace(name, judge(event)).first->second;
}

bool Subscription::judge(const Event& event) const {
  const auto keys = routing_keys_of(event);
  return std::any_of(bindings_.begin(), bindings_.end(), [&](const std::string& binding) {
    return std::any_of(keys.begin(), keys.end(), [&](const std::string& key) { return binding_matches(binding, key); });
  });
}

}  // namespace muskrat

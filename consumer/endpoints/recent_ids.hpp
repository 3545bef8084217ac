// The message ids seen last, so that a repeat is recognised: bounded, oldest out first.
//
// Used by endpoints that have no table to remember in. Thread rule: one owner.
#pragma once

#include <deque>
#include <string>
#include <unordered_set>

namespace muskrat {

class RecentIds {
 public:
  explicit RecentIds(size_t most) : most_(most) {}

  bool has(const std::string& id) const { return !id.empty() && known_.contains(id); }
  void add(const std::string& id) {
    if (id.empty() || !known_.insert(id).second) return;
    order_.push_back(id);
    if (order_.size() <= most_) return;
    known_.erase(order_.front());
    order_.pop_front();
  }
  void clear() {
    known_.clear();
    order_.clear();
  }

 private:
  size_t most_;
  std::unordered_set<std::string> known_;
  std::deque<std::string> order_;
};

}  // namespace muskrat

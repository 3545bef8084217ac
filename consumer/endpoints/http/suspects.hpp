// Events that got no answer: it may be over one of them that the receiver hangs, or hangs up.
//
// Used by http/endpoint.cpp, which sends them last and each alone, those that were without an answer most often at the
// end: so that one bad event holds up no other. Pure. Thread rule: one owner.
#pragma once

#include <string>
#include <unordered_map>

namespace muskrat::http_endpoint {

class Suspects {
 public:
  explicit Suspects(size_t most) : most_(most) {}

  bool empty() const { return failures_.empty(); }
  // How often on end it got no answer; 0: it is no suspect.
  unsigned failures(const std::string& message_id) const {
    const auto found = failures_.find(message_id);
    return found == failures_.end() ? 0 : found->second;
  }
  void unanswered(const std::string& message_id) {
    if (failures_.size() >= most_ && !failures_.contains(message_id)) failures_.clear();
    ++failures_[message_id];
  }
  void answered(const std::string& message_id) { failures_.erase(message_id); }

 private:
  const size_t most_;
  std::unordered_map<std::string, unsigned> failures_;
};

}  // namespace muskrat::http_endpoint

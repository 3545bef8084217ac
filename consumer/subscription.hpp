// What an endpoint subscribes to: its patterns, and whether they take an event.
//
// Used by consumer/host.cpp, whose queue may still be bound to a pattern that has left the configuration, and by
// consumer/mapping_cases.cpp. The host asks for each event: answers are remembered by routing key.
// Pure. Thread rule: one owner.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/event.hpp"

namespace muskrat {

class Subscription {
 public:
  // Patterns as the user wrote them; one that can match no event takes none.
  explicit Subscription(const std::vector<std::string>& patterns);

  // Whether a pattern takes one of the routing keys under which the event may be expected.
  bool takes(const Event& event);

  size_t remembered() const { return answers_.size(); }

  static constexpr size_t most_remembered = 4096;

 private:
  bool judge(const Event& event) const;

  std::vector<std::string> bindings_;
  std::unordered_map<std::string, bool> answers_;  // by routing key, and what a backfill stands for
};

}  // namespace muskrat

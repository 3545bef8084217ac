// When a failed event is tried again, and how often it was tried.
//
// Used by consumer/host.cpp. AttemptMemory outlives channels: an event that is given back to the queue keeps its count
// when it returns. Pure: time and chance are handed in. Thread rule: one owner.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>

#include "common/clock.hpp"

namespace muskrat {

// The wait after the `attempts`-th failure: `first`, doubled with each attempt, `most` at most; then between half of it
// and the whole, as `chance` (0…1) says.
milliseconds retry_wait(unsigned attempts, milliseconds first, milliseconds most, double chance);

class AttemptMemory {
 public:
  struct Entry {
    unsigned attempts = 0;
    SteadyTime not_before{};
    std::string trail = {};
  };
  explicit AttemptMemory(size_t most = 100'000) : most_(most) {}

  Entry recall(const std::string& message_id) const;  // an empty entry when it never failed
  void remember(const std::string& message_id, Entry entry);
  void forget(const std::string& message_id);
  size_t size() const { return entries_.size(); }

 private:
  size_t most_;  // beyond it the oldest is forgotten: its event starts counting anew
  std::unordered_map<std::string, Entry> entries_;
  std::deque<std::string> order_;
};

}  // namespace muskrat

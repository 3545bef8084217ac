// The account of delivery tags: what was taken from the queue, what is finished, what may be acknowledged.
//
// Used by consumer/session.cpp, one object per channel: tags count from 1 on each, and a lost channel's account is
// void. Every tag is in exactly one state: open → finished → acknowledged. Only finished ones are ever acknowledged; a
// `multiple` acknowledgement covers the finished prefix and nothing beyond it.
// Pure: knows no broker; time is handed in. Thread rule: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "common/clock.hpp"

namespace muskrat {

class Settling {
 public:
  struct Ack {
    uint64_t tag;
    bool multiple;
    bool operator==(const Ack&) const = default;
  };

  // A delivery arrived. Tags come 1, 2, 3 …; anything else throws Failure{reconnect}.
  void taken(uint64_t tag, SteadyTime now);
  // Its fate is settled for good (effect in place, or dead letter confirmed). Twice, or unknown: std::logic_error.
  void finished(uint64_t tag);
  // What to acknowledge now: the finished prefix in one; and, when `singles`, each finished tag behind an open one.
  std::vector<Ack> take_acks(bool singles);

  // When the oldest unfinished delivery was taken (after take_acks(): what is acknowledged is out of the account).
  std::optional<SteadyTime> oldest_open() const;
  bool prefix_finished() const { return !tags_.empty() && tags_.front().state != State::open; }
  size_t open() const { return open_; }                // taken and not finished
  size_t unacknowledged() const { return finished_; }  // finished and not yet handed to take_acks()
  bool clean() const { return tags_.empty(); }         // everything taken is acknowledged

 private:
  enum class State : uint8_t { open, finished, acknowledged };
  struct Tag {
    State state;
    SteadyTime taken;
  };
  Tag& find(uint64_t tag);

  std::deque<Tag> tags_;  // of tags first_, first_ + 1, …
  uint64_t first_ = 1;
  size_t open_ = 0, finished_ = 0;
};

}  // namespace muskrat

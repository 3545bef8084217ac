// Ordering keys that wait behind a dead letter (on_dead: hold): all letters of each, in the order of their events.
//
// Used by consumer/host.cpp. Of a held key the event of its first letter may pass, and what is older than that; any
// other becomes a letter behind it. The key is free when the last of its letters is in place, so that nothing overtakes
// those that still wait. First is who is oldest by (epoch, seq), wherever the letter stands in the queue: one that was
// sent again and failed again stands at its end.
// The dead-letter queue is the memory: rebuild() reads it, without taking anything out, each time the endpoint begins
// to consume, so a restart forgets nothing, and letters that were dropped hold nobody. Thread rule: one owner.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/amqp.hpp"

namespace muskrat {

class HeldKeys {
 public:
  struct Letter {
    std::string message_id;
    int64_t epoch = 0, seq = 0;  // 0, 0: it has none, and keeps the place in which it came
  };

  // Failure{reconnect} when the queue holds more than one look can show (65,000), cannot be read, or somebody else is
  // at it: what that one holds would not be seen.
  void rebuild(amqp::Connection& connection, const std::string& dead_queue, Deadline deadline);

  // Once, however often it comes. `again`: it was a letter before, and left the queue when it was sent again.
  void add(const std::string& key, Letter letter, bool again = false);
  void release(const std::string& key, const std::string& message_id, bool again = false);
  // So many stand in the queue, while nothing is on its way.
  void seen(size_t in_queue);
  // The message that this event waits for; nullptr: it may pass.
  const std::string* blocker(const std::string& key, const Letter& event) const;
  size_t size() const { return keys_.size(); }
  size_t letters() const { return letters_; }
  // What the queue holds at least, unless somebody took letters out: those that hold nobody too, which have no key, or
  // whose event is a letter already.
  size_t in_queue() const { return letters_ + others_; }

 private:
  std::unordered_map<std::string, std::vector<Letter>> keys_;
  size_t letters_ = 0, others_ = 0;
};

// "held behind <message_id>": the reason on a letter that only followed another.
std::string held_behind(const std::string& message_id);

}  // namespace muskrat

// Ordering keys that wait behind a dead letter (on_dead: hold), and the message that each waits for.
//
// Used by consumer/host.cpp. The dead-letter queue is the memory: rebuild() reads it, without taking anything out, each
// time the endpoint begins to consume, so a restart forgets nothing and a queue that was dealt with frees its keys.
// The event that a key waits for may pass when it is sent again; once it is in place the key is free. So may the first
// that is still among the letters: what it waited for may have been dealt with before a restart.
// Thread rule: one owner.
#pragma once

#include <string>
#include <unordered_map>

#include "common/amqp.hpp"

namespace muskrat {

class HeldKeys {
 public:
  // Failure{reconnect} when the queue holds more than one look can show (65,000), or cannot be read.
  void rebuild(amqp::Connection& connection, const std::string& dead_queue, Deadline deadline);

  // `first`: the letter that stands first in the queue, where that is another than the one waited for.
  void hold(const std::string& key, const std::string& message_id, const std::string& first = "");
  void release(const std::string& key, const std::string& message_id);
  // The message that this event waits for; nullptr: it may pass.
  const std::string* blocker(const std::string& key, const std::string& message_id) const;
  size_t size() const { return keys_.size(); }

 private:
  struct Hold {
    std::string message_id, first;
    bool passes(const std::string& id) const { return id == message_id || (!first.empty() && id == first); }
  };
  std::unordered_map<std::string, Hold> keys_;
};

// "held behind <message_id>": the reason on a letter that only followed another.
std::string held_behind(const std::string& message_id);

}  // namespace muskrat

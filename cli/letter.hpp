// What a dead letter says about itself, read from its properties and headers; and how it is written for people and
// programs.
//
// Used by the dead verbs. docs/dead-letters.md has the headers. Bodies are customers' data: only `export_line`, and a
// show that is asked for it, hold one. Thread rule: plain values and free functions.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/amqp.hpp"
#include "common/json.hpp"

namespace muskrat::cli {

struct Letter {
  explicit Letter(const amqp::Delivery& delivery);
  std::string message_id, routing_key, key, reason, cause, source, op, trail;
  int64_t attempts = 0, dead_at_ms = 0, retries = 0, epoch = 0, seq = 0;
};

// One death: an event that was sent again and failed again is another letter.
std::string identity_of(const amqp::Delivery& letter);

// The members that every listing has, without the body.
json::Object letter_object(const Letter& letter);
// All that the queue holds of it, with the body: one line of JSON. A body that is JSON stands as it is under "body",
// any other text under "text", other bytes under "base64".
std::string export_line(const amqp::Delivery& letter);

// Letters counted by reason. "held behind <id>" is one reason, whatever the id; beyond 1,000 reasons the rest is one.
class ReasonCounts {
 public:
  struct Count {
    uint64_t letters = 0;
    int64_t first_ms = 0, last_ms = 0;
  };
  using Key = std::pair<std::string, std::string>;  // cause, reason

  void add(const Letter& letter);
  const std::map<Key, Count>& counts() const { return counts_; }
  std::string text(size_t most) const;  // a table, the most frequent first; "" when nothing was counted
  std::vector<json::Object> objects() const;

 private:
  std::vector<std::pair<Key, Count>> sorted() const;
  std::map<Key, Count> counts_;
};

}  // namespace muskrat::cli

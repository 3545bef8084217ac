// Which dead letters a verb means: the same options for every one of them.
//
// Used by the dead verbs, forget and dead_walk.hpp. Thread rule: a plain value after prepare().
#pragma once

#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "common/amqp.hpp"

namespace muskrat::cli {

class LetterFilter {
 public:
  void declare(Arguments& arguments);        // --key … --newer, --message-id
  void declare_limit(Arguments& arguments);  // --limit: for verbs that do something to the first N
  // Reads the ages and the pattern; UsageError for what cannot be.
  void prepare();

  bool empty() const;  // all letters are meant; a limit does not count
  bool takes(const amqp::Delivery& letter) const;
  int64_t limit() const { return limit_; }  // 0: none
  void of_keys(const std::vector<std::string>& keys) { keys_ = keys; }
  void only(const std::string& message_id) { message_ids_.push_back(message_id); }

 private:
  std::string key_, reason_, cause_, routing_key_, older_, newer_;
  std::vector<std::string> keys_, message_ids_;  // any of them; empty: all
  int64_t limit_ = 0;
  std::string binding_;                             // of the routing key's pattern
  int64_t dead_before_ms_ = 0, dead_after_ms_ = 0;  // 0: none
};

}  // namespace muskrat::cli

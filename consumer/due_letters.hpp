// Which dead letters are to be sent to their endpoint again now: the rule of dead_retry_every and dead_retry_times.
//
// Used by consumer/dead_retry.cpp. A letter is due when its class is transient, it died at least `every` ago and was
// sent again fewer than `times` times. With on_dead: hold a key goes as a whole, the oldest event first, up to the
// first letter that must stay: one that was refused for good, or has had its times; and where the oldest was only held,
// what it waited for is gone, so that it is due. Pure: time is handed in.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/amqp.hpp"

namespace muskrat {

struct RetryPlan {
  milliseconds every{0};  // 0: never
  int64_t times = 0;
  bool hold = false;  // on_dead: hold
};

struct LetterFacts {
  std::string identity;  // of one death: an event that failed again is another letter
  std::string key, cause;
  int64_t retries = 0, dead_at_ms = 0, epoch = 0, seq = 0;
};
LetterFacts facts_of(const amqp::Delivery& letter);

// Identities, 10,000 at most.
std::unordered_set<std::string> due_letters(const std::vector<LetterFacts>& letters, const RetryPlan& plan,
                                            int64_t now_ms);

}  // namespace muskrat

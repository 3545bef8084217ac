#include "consumer/due_letters.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "common/wire.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat {
namespace {

constexpr size_t most_at_once = 10'000;

bool has_times_left(const LetterFacts& letter, const RetryPlan& plan) {
  return letter.cause == dead::transient && letter.retries < plan.times;
}

bool old_enough(const LetterFacts& letter, const RetryPlan& plan, int64_t now_ms) {
  return letter.dead_at_ms > 0 && now_ms - letter.dead_at_ms >= plan.every.count();
}

bool due(const LetterFacts& letter, const RetryPlan& plan, int64_t now_ms) {
  return has_times_left(letter, plan) && old_enough(letter, plan, now_ms);
}

// The first of its key: what a held one waited for is gone.
bool due_first(const LetterFacts& letter, const RetryPlan& plan, int64_t now_ms) {
  return letter.cause == dead::held ? old_enough(letter, plan, now_ms) : due(letter, plan, now_ms);
}

bool older(const LetterFacts* a, const LetterFacts* b) {
  return std::tie(a->epoch, a->seq) < std::tie(b->epoch, b->seq);
}

}  // namespace

LetterFacts facts_of(const amqp::Delivery& letter) {
  LetterFacts facts;
  facts.key = letter.headers.text(wire::header_key);
  facts.cause = letter.headers.text(dead::header_cause);
  facts.retries = letter.headers.number(dead::header_retries);
  facts.dead_at_ms = letter.headers.number(dead::header_at);
  facts.epoch = letter.headers.number(wire::header_epoch);
  facts.seq = letter.headers.number(wire::header_seq);
  facts.identity = letter.message_id + "/" + std::to_string(facts.dead_at_ms);
  return facts;
}

std::unordered_set<std::string> due_letters(const std::vector<LetterFacts>& letters, const RetryPlan& plan,
                                            int64_t now_ms) {
  std::unordered_set<std::string> chosen;
  const auto choose = [&](const LetterFacts& letter) {
    if (chosen.size() < most_at_once) chosen.insert(letter.identity);
  };
  std::unordered_map<std::string, std::vector<const LetterFacts*>> keys;
  for (const LetterFacts& letter : letters) {
    if (plan.hold && !letter.key.empty()) {
      keys[letter.key].push_back(&letter);
    } else if (due(letter, plan, now_ms)) {
      choose(letter);
    }
  }
  for (auto& [key, list] : keys) {
    std::stable_sort(list.begin(), list.end(), older);
    if (!due_first(*list.front(), plan, now_ms)) continue;
    for (const LetterFacts* letter : list) {
      if (letter->cause != dead::held && !has_times_left(*letter, plan)) break;
      choose(*letter);
    }
  }
  return chosen;
}

}  // namespace muskrat

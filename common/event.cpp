#include "common/event.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

namespace muskrat {
namespace {

constexpr size_t max_key_bytes = 255;  // AMQP's short string

struct OpWord {
  Op op;
  std::string_view name;
};
constexpr std::array<OpWord, 7> op_words{{{Op::insert, "insert"},
                                          {Op::update, "update"},
                                          {Op::remove, "delete"},
                                          {Op::truncate, "truncate"},
                                          {Op::backfill, "backfill"},
                                          {Op::emit, "emit"},
                                          {Op::record, "record"}}};

void say(std::string* why, std::string text) {
  if (why) *why = std::move(text);
}

bool word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool is_word(std::string_view text) {
  for (char c : text) {
    if (!word_char(c)) return false;
  }
  return !text.empty();
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  size_t start = 0;
  for (size_t dot; (dot = text.find('.', start)) != std::string_view::npos; start = dot + 1) {
    words.push_back(text.substr(start, dot - start));
  }
  words.push_back(text.substr(start));
  return words;
}

bool short_enough(std::string_view text, std::string* why) {
  if (text.size() <= max_key_bytes) return true;
  say(why, "it has " + std::to_string(text.size()) + " bytes; at most 255 fit");
  return false;
}

// What a pattern's words say about the keys it can take.
struct PatternShape {
  size_t plain = 0;  // words and '*': each takes exactly one word of a key
  bool hash = false;
};

std::optional<PatternShape> shape_of(const std::vector<std::string_view>& words, std::string* why) {
  PatternShape shape;
  for (std::string_view word : words) {
    if (word == "#") {
      shape.hash = true;
      continue;
    }
    if (word != "*" && !is_word(word)) {
      say(why, word.empty() ? "it has an empty word" : "a word may hold A-Z a-z 0-9 _ - only, or be * or #");
      return std::nullopt;
    }
    ++shape.plain;
  }
  return shape;
}

bool words_match(std::span<const std::string_view> pattern, std::span<const std::string_view> key) {
  if (pattern.empty()) return key.empty();
  if (pattern[0] == "#") {
    for (size_t skipped = 0; skipped <= key.size(); ++skipped) {
      if (words_match(pattern.subspan(1), key.subspan(skipped))) return true;
    }
    return false;
  }
  if (key.empty() || (pattern[0] != "*" && pattern[0] != key[0])) return false;
  return words_match(pattern.subspan(1), key.subspan(1));
}

}  // namespace

std::string_view op_name(Op op) {
  for (const OpWord& word : op_words) {
    if (word.op == op) return word.name;
  }
  return "emit";
}

std::optional<Op> op_from_name(std::string_view name) {
  for (const OpWord& word : op_words) {
    if (word.name == name) return word.op;
  }
  return std::nullopt;
}

std::optional<Op> op_from_char(char c) {
  for (const OpWord& word : op_words) {
    if (static_cast<char>(word.op) == c) return word.op;
  }
  return std::nullopt;
}

std::optional<RoutingKey> parse_routing_key(std::string_view text, std::string* why) {
  if (!short_enough(text, why)) return std::nullopt;
  const size_t first = text.find('.'), last = text.rfind('.');
  const RoutingKey key{text.substr(0, first), first < last ? text.substr(first + 1, last - first - 1) : "",
                       last == std::string_view::npos ? "" : text.substr(last + 1)};
  // Each message that is published or consumed comes by here, nearly all of them well formed.
  if (is_word(key.source) && is_word(key.object) && is_word(key.action)) return key;
  const auto words = split(text);
  if (words.size() != 3) {
    say(why, "it has " + std::to_string(words.size()) + (words.size() == 1 ? " word" : " words") +
                 "; <Source>.<Object>.<Action> has three");
    return std::nullopt;
  }
  const bool empty = std::ranges::any_of(words, [](std::string_view word) { return word.empty(); });
  say(why, empty ? "it has an empty word" : "a word may hold A-Z a-z 0-9 _ - only");
  return std::nullopt;
}

std::optional<std::string> binding_of_pattern(std::string_view pattern, std::string* why) {
  if (!short_enough(pattern, why)) return std::nullopt;
  const auto words = split(pattern);
  const auto shape = shape_of(words, why);
  if (!shape) return std::nullopt;
  if (shape->plain > 3) {
    say(why, "it asks for " + std::to_string(shape->plain) + " words; a routing key has three");
    return std::nullopt;
  }
  if (shape->hash || shape->plain == 3) return std::string(pattern);
  if (words.back() == "*") return std::string(pattern.substr(0, pattern.size() - 1)) + "#";
  say(why, "it has " + std::to_string(words.size()) + (words.size() == 1 ? " word" : " words") +
               " and a routing key has three; did you mean " + std::string(pattern) + ".*?");
  return std::nullopt;
}

std::vector<std::string> routing_keys_of(const Event& event) {
  std::vector<std::string> keys{event.routing_key};
  const std::string object = event.routing_key.substr(0, event.routing_key.rfind('.') + 1);
  for (size_t start = 0; start < event.as.size();) {
    const size_t end = std::min(event.as.find(' ', start), event.as.size());
    keys.push_back(object + event.as.substr(start, end - start));
    start = end + 1;
  }
  return keys;
}

bool binding_matches(std::string_view binding, std::string_view routing_key) {
  const auto pattern = split(binding);
  const auto key = split(routing_key);
  // '#' only ever helps when it differs from its neighbour: "#.#.#…" would make the search exponential.
  std::vector<std::string_view> tight;
  for (std::string_view word : pattern) {
    if (word != "#" || tight.empty() || tight.back() != "#") tight.push_back(word);
  }
  return words_match(tight, key);
}

}  // namespace muskrat

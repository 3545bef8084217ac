#include "consumer/limits/amount.hpp"

#include <algorithm>
#include <charconv>

#include "common/duration.hpp"

namespace muskrat::limits {
namespace {

constexpr int64_t count_most = 1'000'000'000'000;

std::string_view skip_spaces(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text = skip_spaces(text.substr(word.size()));
  return true;
}

std::optional<int64_t> take_count(std::string_view& text) {
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count < 1 || count > count_most) return std::nullopt;
  text = skip_spaces(text.substr(static_cast<size_t>(end - text.data())));
  return count;
}

// "20s", "1m", and "s" for one of it.
std::optional<milliseconds> period_of(std::string_view text) {
  const bool lone_unit = !text.empty() && text.front() >= 'a' && text.front() <= 'z';
  const auto period = parse_duration(lone_unit ? "1" + std::string(text) : std::string(text));
  return period && period->count() > 0 ? period : std::nullopt;
}

}  // namespace

std::optional<Amount> parse_amount(std::string_view text, std::string& why) {
  why = "expected an amount in a time, such as 50/s, 100 calls per 20s or 1000 records per 1m";
  Amount amount;
  std::string_view rest = skip_spaces(text);
  const auto count = take_count(rest);
  if (!count) return std::nullopt;
  amount.count = *count;
  if (take_word(rest, "records")) {
    amount.unit = Unit::records;
  } else {
    take_word(rest, "calls");
  }
  if (!take_word(rest, "per ") && !take_word(rest, "/")) return std::nullopt;
  rest = rest.substr(0, rest.find_last_not_of(' ') + 1);
  if (rest == "day") return amount;
  const auto period = period_of(rest);
  if (!period) return std::nullopt;
  amount.period = *period;
  return amount;
}

std::string describe(const Amount& amount) {
  return std::to_string(amount.count) + (amount.unit == Unit::calls ? " calls per " : " records per ") +
         (amount.period.count() == 0 ? "day" : duration_text(amount.period));
}

}  // namespace muskrat::limits

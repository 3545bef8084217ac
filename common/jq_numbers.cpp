#include "common/jq_numbers.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <string>

namespace muskrat::jq {
namespace {

constexpr size_t digits_of_any_double = 15;  // so many decimal digits survive the way through a double (DBL_DIG)

// A decimal number as its digits, without zeros at the ends, and the power of ten behind them.
struct Decimal {
  std::string digits;
  long exponent = 0;
  bool operator==(const Decimal&) const = default;
};

Decimal decimal_of(std::string_view text) {
  Decimal number;
  const size_t e = std::min(text.find_first_of("eE"), text.size());
  if (e < text.size()) {
    const size_t start = e + (text[e + 1] == '+' ? 2 : 1);
    const auto [end, fault] = std::from_chars(text.data() + start, text.data() + text.size(), number.exponent);
    if (fault != std::errc()) number.exponent = 100'000;
  }
  bool fraction = false;
  for (const char c : text.substr(0, e)) {
    if (c == '.') fraction = true;
    if (c < '0' || c > '9') continue;
    if (fraction) --number.exponent;
    if (c != '0' || !number.digits.empty()) number.digits += c;
  }
  while (!number.digits.empty() && number.digits.back() == '0') {
    number.digits.pop_back();
    ++number.exponent;
  }
  if (number.digits.empty()) number.exponent = 0;
  return number;
}

}  // namespace

bool exact_in_jq(std::string_view number) {
  double value = 0;
  const auto [end, fault] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (fault != std::errc() || std::fabs(value) > largest_exact) return false;
  if (number.size() <= digits_of_any_double) return true;
  const Decimal meant = decimal_of(number);
  if (meant.digits.size() <= digits_of_any_double) return value != 0 || meant.digits.empty();
  std::array<char, 32> again{};
  const auto written = std::to_chars(again.data(), again.data() + again.size(), value);
  return meant == decimal_of({again.data(), written.ptr});
}

bool all_exact_in_jq(std::string_view json) {
  for (size_t at = 0; at < json.size();) {
    const char c = json[at];
    if (c == '"') {
      for (++at; at < json.size() && json[at] != '"'; ++at)
        if (json[at] == '\\') ++at;
      ++at;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      const size_t end = std::min(json.find_first_not_of("0123456789+-.eE", at), json.size());
      if (!exact_in_jq(json.substr(at, end - at))) return false;
      at = end;
    } else {
      ++at;
    }
  }
  return true;
}

}  // namespace muskrat::jq

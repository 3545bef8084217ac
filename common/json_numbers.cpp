#include "common/json_numbers.hpp"

namespace muskrat::json {
namespace {

constexpr size_t surely_small = 200;  // bytes of a number without an exponent that a double can hold

bool digit(char c) { return c >= '0' && c <= '9'; }

size_t skip_digits(std::string_view text, size_t at) {
  while (at < text.size() && digit(text[at])) ++at;
  return at;
}

// Length of the number at the start of the text as JSON's grammar has it; 0 for none.
size_t number_length(std::string_view text) {
  size_t at = text.starts_with('-') ? 1 : 0;
  const size_t whole = at;
  at = skip_digits(text, at);
  if (at == whole || (text[whole] == '0' && at > whole + 1)) return 0;
  if (at < text.size() && text[at] == '.') {
    const size_t fraction = at + 1;
    at = skip_digits(text, fraction);
    if (at == fraction) return 0;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    size_t exponent = at + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    at = skip_digits(text, exponent);
    if (at == exponent) return 0;
  }
  return at;
}

// "--1e400" and "1e400.5" hold a number each and are none: with 0 in its place they would become one.
bool touches_number(std::string_view text, size_t start, size_t end) {
  constexpr std::string_view parts = "0123456789.eE+-";
  return (start > 0 && parts.find(text[start - 1]) != std::string_view::npos) ||
         (end < text.size() && parts.find(text[end]) != std::string_view::npos);
}

// Behind the closing quote of the string that starts at `at`.
size_t string_end(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

}  // namespace

WithoutHugeNumbers without_huge_numbers(std::string_view text) {
  WithoutHugeNumbers result;
  size_t ordinal = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t number = number_length(text.substr(at));
    const size_t end = number > 0 ? at + number : text[at] == '"' ? string_end(text, at) : at + 1;
    const std::string_view part = text.substr(at, end - at);
    if (number > 0) {
      const bool huge = (number > surely_small || part.find_first_of("eE") != std::string_view::npos) &&
                        !touches_number(text, at, end);
      if (huge) result.taken.emplace(ordinal, part);
      result.text += huge ? std::string_view("0") : part;
      ++ordinal;
    } else {
      result.text += part;
    }
    at += part.size();
  }
  return result;
}

}  // namespace muskrat::json

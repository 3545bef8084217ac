#include "consumer/endpoints/postgres/literals.hpp"

namespace muskrat::postgres {
namespace {

void append_quoted(std::string& text, std::string_view element) {
  text.push_back('"');
  size_t start = 0;
  for (size_t i = 0; i < element.size(); ++i) {
    if (element[i] != '"' && element[i] != '\\') continue;
    text.append(element.substr(start, i - start)).push_back('\\');
    start = i;
  }
  text.append(element.substr(start)).push_back('"');
}

bool append_element(std::string& text, const json::Value& value, const ToText& element) {
  if (value.type() == json::Type::null) {
    text.append("NULL");
    return true;
  }
  const bool nested = value.type() == json::Type::array;
  const auto literal = nested ? array_literal(value, element) : element(value);
  if (!literal) return false;
  if (nested) text.append(*literal);
  if (!nested) append_quoted(text, *literal);
  return true;
}

void append_bound(std::string& text, const std::optional<json::Value>& bound) {
  const auto value = bound ? bound->scalar_text() : std::nullopt;
  if (value) append_quoted(text, *value);
}

int base64_digit(char c) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const size_t found = digits.find(c);
  return found == std::string_view::npos ? -1 : static_cast<int>(found);
}

}  // namespace

void ArrayLiteral::separate() {
  if (text_.size() > 1) text_.push_back(',');
}

void ArrayLiteral::add(std::optional<std::string_view> element) {
  separate();
  if (element)
    append_quoted(text_, *element);
  else
    text_.append("NULL");
}

void ArrayLiteral::add_number(int64_t element) {
  separate();
  text_.append(std::to_string(element));
}

std::string ArrayLiteral::finish() {
  text_.push_back('}');
  return std::move(text_);
}

std::optional<std::string> array_literal(const json::Value& array, const ToText& element) {
  std::string text = "{";
  for (size_t i = 0; i < array.size(); ++i) {
    if (i > 0) text.push_back(',');
    if (!append_element(text, array.at(i), element)) return std::nullopt;
  }
  text.push_back('}');
  return text;
}

std::optional<std::string> range_literal(const json::Value& range) {
  if (range.type() == json::Type::string) return std::string(range.string());
  const auto bounds = range.find("bounds");
  if (!bounds || bounds->string().size() != 2) return std::nullopt;
  std::string text(1, bounds->string()[0]);
  append_bound(text, range.find("lower"));
  text.push_back(',');
  append_bound(text, range.find("upper"));
  text.push_back(bounds->string()[1]);
  return text;
}

std::optional<std::string> multirange_literal(const json::Value& ranges) {
  if (ranges.type() == json::Type::string) return std::string(ranges.string());
  if (ranges.type() != json::Type::array) return std::nullopt;
  std::string text = "{";
  for (size_t i = 0; i < ranges.size(); ++i) {
    const auto range = range_literal(ranges.at(i));
    if (!range) return std::nullopt;
    text.append(i > 0 ? "," : "").append(*range);
  }
  text.push_back('}');
  return text;
}

std::optional<std::string> bytes_literal(const json::Value& base64) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string_view text = base64.string();
  if (base64.type() != json::Type::string || text.size() % 4 != 0) return std::nullopt;
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  std::string literal = "\\x";
  unsigned bits = 0, held = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<unsigned>(digit)) & 0xffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    const unsigned byte = bits >> held & 0xff;
    literal.push_back(hex[byte >> 4]);
    literal.push_back(hex[byte & 15]);
  }
  return literal;
}

}  // namespace muskrat::postgres

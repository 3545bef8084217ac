#include "consumer/endpoints/postgres/literals.hpp"

namespace muskrat::postgres {
namespace {

void append_quoted(std::string& text, std::string_view element) {
  text.push_back('"');
  for (const char c : element) {
    if (c == '"' || c == '\\') text.push_back('\\');
    text.push_back(c);
  }
  text.push_back('"');
}

void append_value(std::string& text, const json::Value& value) {
  if (value.type() == json::Type::array) {
    text.append(array_literal(value));
  } else if (const auto bare = value.scalar_text()) {
    append_quoted(text, *bare);
  } else {
    text.append("NULL");
  }
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

std::string array_literal(const json::Value& array) {
  std::string text = "{";
  for (size_t i = 0; i < array.size(); ++i) {
    if (i > 0) text.push_back(',');
    append_value(text, array.at(i));
  }
  text.push_back('}');
  return text;
}

}  // namespace muskrat::postgres

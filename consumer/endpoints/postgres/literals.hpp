// PostgreSQL's text forms of arrays, ranges and bytes: how a whole batch travels as one parameter per column, and how
// the JSON of docs/event-format.md becomes what a column of such a type takes.
//
// Used by the postgres endpoint's statements and by target.cpp. Pure. Thread rule: plain values.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/json.hpp"

namespace muskrat::postgres {

// An array literal, element by element: {"a","b\"c",NULL}.
class ArrayLiteral {
 public:
  void add(std::optional<std::string_view> element);
  void add_number(int64_t element);
  std::string finish();  // the literal; the object is used up

 private:
  void separate();
  std::string text_ = "{";
};

// Turns one value into text; nullopt: it is not of that type.
using ToText = std::function<std::optional<std::string>(const json::Value&)>;

// A JSON array as an array literal: nulls as NULL, nested arrays nested, the rest through `element`.
std::optional<std::string> array_literal(const json::Value& array, const ToText& element);

// {"lower":1,"upper":null,"bounds":"[)"} as [1,), "empty" as itself.
std::optional<std::string> range_literal(const json::Value& range);
std::optional<std::string> multirange_literal(const json::Value& ranges);

// Base64 as \x and hexadecimal digits.
std::optional<std::string> bytes_literal(const json::Value& base64);

}  // namespace muskrat::postgres

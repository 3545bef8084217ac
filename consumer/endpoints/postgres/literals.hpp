// PostgreSQL's text form of arrays: how a whole batch travels as one parameter per column.
//
// Used by the postgres endpoint's statements. Pure. Thread rule: plain values.
#pragma once

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

// A JSON array as an array literal: strings bare, numbers and booleans as text, objects as JSON, nested arrays nested.
std::string array_literal(const json::Value& array);

}  // namespace muskrat::postgres

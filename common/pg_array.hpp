// The text of a PostgreSQL array, as a parameter takes it: {"a","b \"c\""}.
//
// Used by pg::text_array and by whoever collects the columns of several rows for unnest(). Thread rule: its owner's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace muskrat::pg {

class ArrayText {
 public:
  void add(std::string_view text) {
    text_ += text_.size() > 1 ? ",\"" : "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += c;
    }
    text_ += '"';
  }
  void add(int64_t value) { add(std::string_view(std::to_string(value))); }
  std::string text() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

}  // namespace muskrat::pg

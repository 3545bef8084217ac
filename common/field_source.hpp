// Where a mapped field's value comes from: a path into the body, or a fact of the event.
//
// Used by mapping.cpp (the field table) and condition.cpp (`when`). A member that capture left out (x-muskrat-omitted)
// is not absent by nature, and whoever asks is told.
// Thread rule: plain values; an Omitted belongs to its thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/event.hpp"
#include "common/json.hpp"

namespace muskrat {

// Microseconds since 1970 as 2026-11-23T21:12:14.000042Z.
std::string iso_utc(int64_t us);

struct FieldValue {
  enum class State { value, null, absent } state = State::absent;
  bool json = false;  // the text is a JSON array or object
  bool number = false, boolean = false;
  std::string text;  // strings bare, everything else as JSON text

  bool is_text() const { return !json && !number && !boolean; }
  static FieldValue bare(std::string text);
  static FieldValue from(const json::Value& value);
  static FieldValue from_json_text(const std::string& text);  // canonical JSON of an option
  std::string json_text() const;                              // as a member's value; null where there is none
};

// The list of paths that capture left out of the body.
class Omitted {
 public:
  explicit Omitted(const std::string& list);
  // Whether the path was left out, or a part of what it names: half an object is as bad as none.
  bool holds(std::string_view path) const;
  bool any() const { return document_ && document_->root().size() > 0; }

 private:
  std::optional<json::Document> document_;
};

// What one event offers.
struct FieldSource {
  FieldSource(const Event& of, const json::Value& with) : event(of), body(with), omitted(of.omitted) {}
  const Event& event;
  const json::Value body;
  const Omitted omitted;

  bool left_out(std::string_view from) const { return !from.starts_with('$') && omitted.holds(from); }
  FieldValue get(std::string_view from) const;
};

// Whether what the path names is a fact of how the event came about, and would differ in another event of the same row.
bool tells_of_the_event(std::string_view from);

// "" for a path that can be looked up; otherwise what is wrong with it.
std::string fault_of_path(std::string_view from);

}  // namespace muskrat

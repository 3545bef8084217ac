// The field table: how an event's body becomes a target's record.
//
// Used by endpoints (body → row or API record) and by scheduled sources
// (record → body). Declarative, checked at load, errors per field.
//   - id                                   the member `id`, under its own name
//   - {to: volume, from: subscription.volume, default: 0, required: true, lower: true, trim: true}
//   - {to: origin, value: web}             a constant
// Thread rule: immutable after loading; apply() is const and reentrant.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/event.hpp"
#include "common/json.hpp"
#include "common/options.hpp"

namespace muskrat {

// One rule of the table. Options: to (shorthand), from, value, default, required, lower, trim.
// `from` takes a dotted path into the body, or of the event: $routing_key $action $source $object $op $message_id
// $captured_at (ISO 8601 UTC) $seq $epoch $body (the whole body as JSON text).
// A default stands in for what is absent or null, never for what capture omitted.
OptionTable field_options();

struct FieldValue {
  enum class State { value, null, absent } state = State::absent;
  bool json = false;  // the text is a JSON array or object
  bool number = false, boolean = false;
  std::string text;  // strings bare, everything else as JSON text
};

struct MappedRecord {
  std::vector<FieldValue> fields;  // in the order of FieldTable::names()
};

class FieldTable {
 public:
  FieldTable() = default;
  FieldTable(const std::vector<Settings>& records, std::vector<Problem>& problems);

  const std::vector<std::string>& names() const { return names_; }
  // nullopt + why (names the field and the rule, never its value) when a required field is absent or null.
  // A member of x-muskrat-omitted is absent, not null: endpoints leave that field untouched.
  std::optional<MappedRecord> apply(const Event& event, const json::Value& body, std::string& why) const;

 private:
  struct Rule {
    std::string to, from;
    std::optional<std::string> constant, fallback;  // canonical JSON
    bool required = false, lower = false, trim = false;
    FieldValue raw(const Event& event, const json::Value& body, bool left_out) const;
  };
  std::vector<Rule> rules_;
  std::vector<std::string> names_;
};

}  // namespace muskrat

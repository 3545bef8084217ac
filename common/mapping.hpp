// The field table: how an event's body becomes a target's record.
//
// Used by endpoints (body → row or API record; document_mapping.hpp makes a JSON document of it) and by scheduled
// sources (record → body). Declarative, checked at load, errors per field; docs/mapping.md is its manual.
//   - id                                   the member `id`, under its own name
//   - {to: volume, from: subscription.volume, as: integer, default: 0, required: true, lower: true, trim: true}
//   - {to: name, from: [company, username]}         the first that is there and not null
//   - {to: plan, lookup: {p1: basic, p2: pro}}      a value that is not in it is an error, or the default
//   - {to: origin, value: web, when: {op: insert}}  a constant, under a condition
//   - {to: tags, jq: '[.tags[] | ascii_downcase]'}  of the whole body; with `from`, of that value (jq.hpp)
// Several rules may fill one field, each but the last under a condition: the first whose condition holds counts.
// Thread rule: immutable after loading; apply() is const and reentrant.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/condition.hpp"
#include "common/event.hpp"
#include "common/field_convert.hpp"
#include "common/field_source.hpp"
#include "common/jq.hpp"
#include "common/json.hpp"
#include "common/options.hpp"

namespace muskrat {

// The options of one rule. `from` takes dotted paths into the body, or of the event: $routing_key $action $source
// $object $op $message_id $captured_at (ISO 8601 UTC) $seq $epoch $body (the whole body as JSON text).
// A default stands in for what is absent or null, never for what capture omitted.
OptionTable field_options();

struct MappedRecord {
  std::vector<FieldValue> fields;  // in the order of FieldTable::names()
};

class FieldTable {
 public:
  FieldTable() = default;
  FieldTable(const std::vector<Settings>& records, std::vector<Problem>& problems);

  // Each field once, in the order of the table.
  const std::vector<std::string>& names() const { return names_; }
  // Whether the field could be another in another event of the same row: it copies $seq, or asks for the op.
  bool hangs_on_the_event(size_t field) const;
  // The path in the body that the field copies as it is, whatever the event; "" when there is more to it.
  std::string plain_copy_of(size_t field) const;
  // nullopt + why (names the field and the rule, never its value) when a required field is absent or null, or a value
  // does not convert. A member of x-muskrat-omitted is absent, not null: endpoints leave that field untouched.
  std::optional<MappedRecord> apply(const FieldSource& source, std::string& why) const;
  std::optional<MappedRecord> apply(const Event& event, const json::Value& body, std::string& why) const;

 private:
  struct Rule {
    size_t target = 0;  // index in names_
    std::vector<std::string> from;
    jq::Expression jq;
    std::optional<FieldValue> constant, fallback;
    std::map<std::string, FieldValue, std::less<>> lookup;
    As as = As::as_it_is;
    bool required = false, lower = false, trim = false;
    Condition when;
    Where where;

    FieldValue pick(const FieldSource& source, bool& left_out) const;
    bool compute(const FieldSource& source, FieldValue& field, std::string& why) const;
    bool refine(FieldValue& field, std::string& why) const;
    std::optional<FieldValue> apply(const FieldSource& source, std::string& why) const;
    std::string missing_because(const FieldValue& field, bool left_out) const;
  };
  Rule read(const Settings& record, std::vector<Problem>& problems);
  static void read_jq(const Settings& record, Rule& rule, const std::string& name, std::vector<Problem>& problems);
  static void read_lookup(const Settings& record, Rule& rule, const std::string& name, std::vector<Problem>& problems);
  void check_doubles(std::vector<Problem>& problems) const;

  std::vector<Rule> rules_;
  std::vector<std::string> names_;
};

}  // namespace muskrat

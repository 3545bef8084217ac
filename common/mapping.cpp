#include "common/mapping.hpp"

#include <algorithm>
#include <array>

namespace muskrat {
namespace {

OptionTable rule_options() {
  static const std::array options{
      Option{"to", OptionType::text, "", "", "Name of the field or column in the target.", true, {}, true},
      Option{"from", OptionType::text_list, "", "",
             "Dotted path into the body (`subscription.volume`, `items.0.id`), or of the event: `$routing_key`, "
             "`$source`, `$object`, `$action`, `$op`, `$message_id`, `$captured_at`, `$epoch`, `$seq`, `$body`; of "
             "several the first that is there and not null counts. Default: the name in `to`."},
      Option{"jq", OptionType::text, "", "",
             "A jq expression that computes the field: of the whole body, or with `from` of that value; `$event` holds "
             "the event's facts. It makes one value, or none (then the field is absent)."},
      Option{"value", OptionType::json, "", "", "A constant, instead of `from`."},
      Option{"as", OptionType::choice, "", as_names,
             "What the value becomes; exact, or the event is a dead letter that names the field."},
      Option{"default", OptionType::json, "", "",
             "Stands in where the body has no such member or a null, or the lookup has no such value; not where "
             "capture left the member out."},
      Option{"required", OptionType::boolean, "false", "", "An event without this field is a dead letter."},
      Option{"lower", OptionType::boolean, "false", "", "Turn a text's A-Z into a-z."},
      Option{"trim", OptionType::boolean, "false", "", "Take white space off both ends of a text."},
      Option{"lookup", OptionType::json, "", "",
             "A map from the value's text to what is sent instead, after `trim` and `lower`; a value that is not in it "
             "is an error, or the default."},
      Option{"when", OptionType::records, "", "",
             "The rule counts only where this holds; else the next rule for the same field, or the field is absent.",
             false, condition_options()},
  };
  return options;
}

}  // namespace

OptionTable field_options() { return rule_options(); }

FieldTable::FieldTable(const std::vector<Settings>& records, std::vector<Problem>& problems) {
  for (const Settings& record : records) rules_.push_back(read(record, problems));
  check_doubles(problems);
}

FieldTable::Rule FieldTable::read(const Settings& record, std::vector<Problem>& problems) {
  Rule rule;
  const std::string& to = record.text("to");
  const auto known = std::find(names_.begin(), names_.end(), to);
  rule.target = static_cast<size_t>(known - names_.begin());
  if (known == names_.end()) names_.push_back(to);
  rule.from = record.given("from") ? record.texts("from") : std::vector<std::string>{to};
  if (record.given("jq")) read_jq(record, rule, to, problems);
  if (record.given("value")) rule.constant = FieldValue::from_json_text(record.scalar("value"));
  if (record.given("default")) rule.fallback = FieldValue::from_json_text(record.scalar("default"));
  if (record.has("as")) rule.as = as_from_name(record.text("as"));
  rule.required = record.boolean("required");
  rule.lower = record.boolean("lower");
  rule.trim = record.boolean("trim");
  rule.where = record.where("to");
  const auto wrong = [&](std::string_view option, const std::string& text) {
    problems.push_back({record.where(option), "field " + to + ": " + text});
  };
  const size_t before = problems.size();
  rule.when = Condition(record.records("when"), problems);
  for (size_t i = before; i < problems.size(); ++i) problems[i].text.insert(0, "field " + to + ": ");
  if (rule.constant && record.given("from")) wrong("value", "give either value or from, not both");
  for (const std::string& from : rule.from)
    if (const std::string fault = fault_of_path(from); !rule.constant && !fault.empty()) wrong("from", fault);
  if (rule.from.empty()) wrong("from", "it names no path");
  if (record.given("lookup")) read_lookup(record, rule, to, problems);
  std::string why;
  FieldValue constant = rule.constant.value_or(FieldValue{});
  if (constant.state == FieldValue::State::value && !rule.refine(constant, why)) wrong("value", "the constant " + why);
  return rule;
}

void FieldTable::read_jq(const Settings& record, Rule& rule, const std::string& name, std::vector<Problem>& problems) {
  std::string fault;
  rule.jq = jq::Expression(record.text("jq"), fault);
  if (!fault.empty()) problems.push_back({record.where("jq"), "field " + name + ": jq: " + fault});
  if (record.given("value"))
    problems.push_back({record.where("jq"), "field " + name + ": give either value or jq, not both"});
  if (!record.given("from")) rule.from = {"$body"};
}

void FieldTable::read_lookup(const Settings& record, Rule& rule, const std::string& name,
                             std::vector<Problem>& problems) {
  std::string why;
  const auto document = json::Document::parse(record.scalar("lookup"), why);
  if (!document || document->root().type() != json::Type::object || document->root().size() == 0) {
    problems.push_back(
        {record.where("lookup"), "field " + name + ": lookup: expected a map such as {p1: basic, p2: pro}"});
    return;
  }
  const json::Value map = document->root();
  for (size_t i = 0; i < map.size(); ++i) {
    FieldValue value = FieldValue::from(map.member(i));
    rule.lookup.insert_or_assign(std::string(map.member_name(i)), value);
    if (value.state == FieldValue::State::value && !convert(value, rule.as, why))
      problems.push_back({record.where("lookup"), "field " + name + ": lookup: what stands for " +
                                                      std::string(map.member_name(i)) + " " + why});
  }
}

// Of the rules for one field only the last may count always.
void FieldTable::check_doubles(std::vector<Problem>& problems) const {
  for (size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    const bool again = std::any_of(rules_.begin() + static_cast<std::ptrdiff_t>(i) + 1, rules_.end(),
                                   [&](const Rule& later) { return later.target == rule.target; });
    if (again && rule.when.always())
      problems.push_back({rule.where, "field " + names_[rule.target] +
                                          ": it stands here twice; all but the last rule for a field need a `when`"});
  }
}

bool FieldTable::hangs_on_the_event(size_t field) const {
  return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    if (rule.target != field) return false;
    return rule.when.asks_for_the_event() || rule.jq.asks_for_the_event() ||
           (!rule.constant && std::any_of(rule.from.begin(), rule.from.end(), tells_of_the_event));
  });
}

std::string FieldTable::plain_copy_of(size_t field) const {
  std::string path;
  for (const Rule& rule : rules_) {
    if (rule.target != field) continue;
    const bool plain = !rule.constant && !rule.jq.given() && !rule.fallback && rule.lookup.empty() &&
                       rule.as == As::as_it_is && !rule.lower && !rule.trim && rule.when.always() &&
                       rule.from.size() == 1;
    if (!plain || rule.from.front().starts_with('$')) return "";
    path = rule.from.front();
  }
  return path;
}

FieldValue FieldTable::Rule::pick(const FieldSource& source, bool& left_out) const {
  if (constant) return *constant;
  FieldValue found;
  for (const std::string& path : from) {
    // Had it been in the event, it might have been the first: then the later ones are no answer.
    if (source.left_out(path) || (jq.given() && path == "$body" && source.omitted.any()))
      return left_out = true, FieldValue{};
    FieldValue field = source.get(path);
    if (field.state == FieldValue::State::value) return field;
    if (field.state == FieldValue::State::null) found = field;
  }
  return found;
}

bool FieldTable::Rule::compute(const FieldSource& source, FieldValue& field, std::string& why) const {
  const jq::Result made = jq.apply(source.event, field.json_text());
  if (made.state == jq::Result::State::failed) return why = "cannot be computed: " + made.text, false;
  field = made.state == jq::Result::State::value ? FieldValue::from_json_text(made.text) : FieldValue{};
  return true;
}

bool FieldTable::Rule::refine(FieldValue& field, std::string& why) const {
  if (field.is_text() && trim) muskrat::trim(field.text);
  if (field.is_text() && lower) to_lower(field.text);
  if (lookup.empty()) return convert(field, as, why);
  const auto found = lookup.find(field.text);
  if (found == lookup.end() && !fallback) return why = "is not in its lookup, and there is no default", false;
  field = found == lookup.end() ? *fallback : found->second;
  if (found == lookup.end()) return true;  // a default is sent as it stands
  return field.state != FieldValue::State::value || convert(field, as, why);
}

std::string FieldTable::Rule::missing_because(const FieldValue& field, bool left_out) const {
  const bool whole = jq.given() && from.front() == "$body";
  if (left_out) return whole ? "capture left parts of the body out" : "capture left it out of the event";
  if (field.state == FieldValue::State::null) return "it is null";
  if (whole) return "its jq makes nothing";
  std::string paths;
  for (const std::string& path : from) paths += (paths.empty() ? "" : ", ") + path;
  return "the body has no " + paths;
}

std::optional<FieldValue> FieldTable::Rule::apply(const FieldSource& source, std::string& why) const {
  bool left_out = false;
  FieldValue field = pick(source, left_out);
  if (jq.given() && field.state == FieldValue::State::value && !compute(source, field, why)) return std::nullopt;
  if (field.state == FieldValue::State::value && !refine(field, why)) return std::nullopt;
  if (field.state != FieldValue::State::value && !left_out && fallback) field = *fallback;
  if (field.state == FieldValue::State::value || !required) return field;
  why = "is required, but " + missing_because(field, left_out);
  return std::nullopt;
}

std::optional<MappedRecord> FieldTable::apply(const FieldSource& source, std::string& why) const {
  MappedRecord record;
  record.fields.resize(names_.size());
  std::vector<bool> settled(names_.size());
  for (const Rule& rule : rules_) {
    if (settled[rule.target]) continue;
    const auto counts = rule.when.holds(source, why);
    std::optional<FieldValue> field;
    if (counts && *counts) field = rule.apply(source, why);
    if (counts && !*counts) continue;
    if (!field) {
      why = "field " + names_[rule.target] + (counts ? " " : ": ") + why;
      return std::nullopt;
    }
    record.fields[rule.target] = std::move(*field);
    settled[rule.target] = true;
  }
  return record;
}

std::optional<MappedRecord> FieldTable::apply(const Event& event, const json::Value& body, std::string& why) const {
  return apply(FieldSource(event, body), why);
}

}  // namespace muskrat

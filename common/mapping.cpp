#include "common/mapping.hpp"

#include <algorithm>
#include <array>
#include <ctime>

namespace muskrat {
namespace {

constexpr std::array<Option, 7> options{{
    {.name = "to",
     .type = OptionType::text,
     .default_value = "",
     .range = "",
     .help = "Name of the field or column in the target.",
     .required = true,
     .shorthand = true},
    {.name = "from",
     .type = OptionType::text,
     .default_value = "",
     .range = "",
     .help =
         "Dotted path into the body (`subscription.volume`, `items.0.id`), or of the event: `$routing_key`, `$source`, "
         "`$object`, `$action`, `$op`, `$message_id`, `$captured_at`, `$epoch`, `$seq`, `$body`. Default: the name "
         "in `to`."},
    {.name = "value",
     .type = OptionType::scalar,
     .default_value = "",
     .range = "",
     .help = "A constant, instead of `from`."},
    {.name = "default",
     .type = OptionType::scalar,
     .default_value = "",
     .range = "",
     .help = "Stands in where the body has no such member or a null; not where capture left the member out."},
    {.name = "required",
     .type = OptionType::boolean,
     .default_value = "false",
     .range = "",
     .help = "An event without this field is a dead letter."},
    {.name = "lower",
     .type = OptionType::boolean,
     .default_value = "false",
     .range = "",
     .help = "Turn a text's A-Z into a-z."},
    {.name = "trim",
     .type = OptionType::boolean,
     .default_value = "false",
     .range = "",
     .help = "Take white space off both ends of a text."},
}};

constexpr std::array<std::string_view, 10> event_names{"$routing_key", "$source",      "$object", "$action", "$op",
                                                       "$message_id",  "$captured_at", "$epoch",  "$seq",    "$body"};

bool is_event_name(std::string_view from) {
  return std::find(event_names.begin(), event_names.end(), from) != event_names.end();
}

std::string iso_utc(int64_t us) {
  constexpr int64_t second = 1'000'000;
  auto seconds = static_cast<std::time_t>(us / second);
  int64_t fraction = us % second;
  if (fraction < 0) {
    fraction += second;
    --seconds;
  }
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> date{};
  const size_t length = std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::string digits = std::to_string(fraction);
  return std::string(date.data(), length) + "." + std::string(6 - digits.size(), '0') + digits + "Z";
}

FieldValue bare(std::string text) {
  FieldValue field;
  field.state = FieldValue::State::value;
  field.text = std::move(text);
  return field;
}

FieldValue from_json(const json::Value& value) {
  if (value.type() == json::Type::null) {
    FieldValue field;
    field.state = FieldValue::State::null;
    return field;
  }
  FieldValue field = bare(*value.scalar_text());
  field.json = value.type() == json::Type::array || value.type() == json::Type::object;
  field.number = value.type() == json::Type::number;
  field.boolean = value.type() == json::Type::boolean;
  return field;
}

FieldValue from_json_text(const std::string& text) {
  std::string why;
  const auto document = json::Document::parse(text, why);
  return document ? from_json(document->root()) : FieldValue{};
}

FieldValue number(int64_t value) {
  FieldValue field = bare(std::to_string(value));
  field.number = true;
  return field;
}

FieldValue from_event(const Event& event, const json::Value& body, std::string_view name) {
  if (name == "$routing_key") return bare(event.routing_key);
  if (name == "$message_id") return bare(event.message_id);
  if (name == "$op") return bare(std::string(op_name(event.op)));
  if (name == "$captured_at") return bare(iso_utc(event.captured_us));
  if (name == "$epoch") return number(event.epoch);
  if (name == "$seq") return number(event.seq);
  if (name == "$body") {
    FieldValue field = bare(body.dump());
    field.json = true;
    return field;
  }
  const auto words = parse_routing_key(event.routing_key);
  if (!words) return FieldValue{};
  return bare(std::string(name == "$source" ? words->source : name == "$object" ? words->object : words->action));
}

// Whether one path is the other or lies inside it: half an object is as bad as none.
bool overlaps(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  return b.starts_with(a) && (b.size() == a.size() || b[a.size()] == '.');
}

class Omitted {
 public:
  explicit Omitted(const std::string& list) {
    std::string why;
    if (!list.empty()) document_ = json::Document::parse(list, why);
  }
  bool holds(std::string_view path) const {
    if (!document_) return false;
    const json::Value list = document_->root();
    for (size_t i = 0; i < list.size(); ++i) {
      if (overlaps(list.at(i).string(), path)) return true;
    }
    return false;
  }

 private:
  std::optional<json::Document> document_;
};

void trim(std::string& text) {
  constexpr std::string_view space = " \t\r\n\f\v";
  const size_t start = text.find_first_not_of(space);
  if (start == std::string::npos) {
    text.clear();
    return;
  }
  text = text.substr(start, text.find_last_not_of(space) - start + 1);
}

void to_lower(std::string& text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
}

bool good_path(std::string_view path) {
  return !path.empty() && !path.starts_with('.') && !path.ends_with('.') && path.find("..") == std::string_view::npos;
}

std::string missing_because(const FieldValue& field, bool left_out, const std::string& from) {
  if (left_out) return "capture left it out of the event";
  return field.state == FieldValue::State::null ? "it is null" : "the body has no " + from;
}

}  // namespace

OptionTable field_options() { return options; }

FieldTable::FieldTable(const std::vector<Settings>& records, std::vector<Problem>& problems) {
  for (const Settings& record : records) {
    Rule rule;
    rule.to = record.text("to");
    rule.from = record.given("from") ? record.text("from") : rule.to;
    if (record.given("value")) rule.constant = record.scalar("value");
    if (record.given("default")) rule.fallback = record.scalar("default");
    rule.required = record.boolean("required");
    rule.lower = record.boolean("lower");
    rule.trim = record.boolean("trim");
    const auto wrong = [&](std::string_view option, const std::string& text) {
      problems.push_back({record.where(option), "field " + rule.to + ": " + text});
    };
    if (std::find(names_.begin(), names_.end(), rule.to) != names_.end()) wrong("to", "it stands here twice");
    if (rule.constant && record.given("from")) wrong("value", "give either value or from, not both");
    if (rule.from.starts_with('$') && !is_event_name(rule.from)) {
      wrong("from", rule.from + " is no part of an event; see the list in docs/configuration.md");
    } else if (!good_path(rule.from)) {
      wrong("from", "the path has an empty step");
    }
    names_.push_back(rule.to);
    rules_.push_back(std::move(rule));
  }
}

FieldValue FieldTable::Rule::raw(const Event& event, const json::Value& body, bool left_out) const {
  if (constant) return from_json_text(*constant);
  if (left_out) return {};
  FieldValue field;
  if (from.starts_with('$')) {
    field = from_event(event, body, from);
  } else if (const auto found = body.path(from)) {
    field = from_json(*found);
  }
  return field.state != FieldValue::State::value && fallback ? from_json_text(*fallback) : field;
}

std::optional<MappedRecord> FieldTable::apply(const Event& event, const json::Value& body, std::string& why) const {
  const Omitted omitted(event.omitted);
  MappedRecord record;
  record.fields.reserve(rules_.size());
  for (const Rule& rule : rules_) {
    const bool left_out = !rule.constant && !rule.from.starts_with('$') && omitted.holds(rule.from);
    FieldValue field = rule.raw(event, body, left_out);
    if (field.state != FieldValue::State::value && rule.required) {
      why = "field " + rule.to + " is required, but " + missing_because(field, left_out, rule.from);
      return std::nullopt;
    }
    const bool is_text = !field.json && !field.number && !field.boolean;
    if (is_text && rule.trim) trim(field.text);
    if (is_text && rule.lower) to_lower(field.text);
    record.fields.push_back(std::move(field));
  }
  return record;
}

}  // namespace muskrat

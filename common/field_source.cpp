#include "common/field_source.hpp"

#include <algorithm>
#include <array>
#include <ctime>

namespace muskrat {
namespace {

constexpr std::array<std::string_view, 10> event_names{"$routing_key", "$source",      "$object", "$action", "$op",
                                                       "$message_id",  "$captured_at", "$epoch",  "$seq",    "$body"};

FieldValue number(int64_t value) {
  FieldValue field = FieldValue::bare(std::to_string(value));
  field.number = true;
  return field;
}

FieldValue fact(const Event& event, const json::Value& body, std::string_view name) {
  if (name == "$routing_key") return FieldValue::bare(event.routing_key);
  if (name == "$message_id") return event.message_id.empty() ? FieldValue{} : FieldValue::bare(event.message_id);
  if (name == "$op") return FieldValue::bare(std::string(op_name(event.op)));
  if (name == "$captured_at" && event.captured_us == 0) return FieldValue{};  // whoever published it did not say
  if (name == "$captured_at") return FieldValue::bare(iso_utc(event.captured_us));
  if (name == "$epoch") return number(event.epoch);
  if (name == "$seq") return number(event.seq);
  if (name == "$body") {
    FieldValue field = FieldValue::bare(body.dump());
    field.json = true;
    return field;
  }
  const auto words = parse_routing_key(event.routing_key);
  if (!words) return FieldValue{};
  return FieldValue::bare(std::string(name == "$source"   ? words->source
                                      : name == "$object" ? words->object
                                                          : words->action));
}

// Whether one path is the other or lies inside it.
bool overlaps(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  return b.starts_with(a) && (b.size() == a.size() || b[a.size()] == '.');
}

}  // namespace

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

FieldValue FieldValue::bare(std::string text) {
  FieldValue field;
  field.state = State::value;
  field.text = std::move(text);
  return field;
}

FieldValue FieldValue::from(const json::Value& value) {
  if (value.type() == json::Type::null) {
    FieldValue field;
    field.state = State::null;
    return field;
  }
  FieldValue field = bare(*value.scalar_text());
  field.json = value.type() == json::Type::array || value.type() == json::Type::object;
  field.number = value.type() == json::Type::number;
  field.boolean = value.type() == json::Type::boolean;
  return field;
}

FieldValue FieldValue::from_json_text(const std::string& text) {
  std::string why;
  const auto document = json::Document::parse(text, why);
  return document ? from(document->root()) : FieldValue{};
}

std::string FieldValue::json_text() const {
  if (state != State::value) return "null";
  return is_text() ? json::quote(text) : text;
}

Omitted::Omitted(const std::string& list) {
  std::string why;
  if (!list.empty()) document_ = json::Document::parse(list, why);
}

bool Omitted::holds(std::string_view path) const {
  if (!document_) return false;
  const json::Value list = document_->root();
  for (size_t i = 0; i < list.size(); ++i) {
    if (overlaps(list.at(i).string(), path)) return true;
  }
  return false;
}

FieldValue FieldSource::get(std::string_view from) const {
  if (from.starts_with('$')) return fact(event, body, from);
  const auto found = body.path(from);
  return found ? FieldValue::from(*found) : FieldValue{};
}

bool tells_of_the_event(std::string_view from) {
  return from.starts_with('$') && from != "$source" && from != "$object" && from != "$body";
}

std::string fault_of_path(std::string_view from) {
  if (from.starts_with('$')) {
    const bool known = std::find(event_names.begin(), event_names.end(), from) != event_names.end();
    return known ? "" : std::string(from) + " is no part of an event; see the list in docs/configuration.md";
  }
  const bool whole = !from.empty() && !from.starts_with('.') && !from.ends_with('.') && from.find("..") == from.npos;
  return whole ? "" : "the path has an empty step";
}

}  // namespace muskrat

#include "common/event_json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "common/field_convert.hpp"
#include "common/suggest.hpp"

namespace muskrat {
namespace {

constexpr std::array<std::string_view, 13> members{"routing_key", "op",   "key",  "message_id",  "source",
                                                   "epoch",       "seq",  "time", "captured_at", "omitted",
                                                   "body",        "text", "as"};

bool take_text(const json::Value& value, std::string_view name, std::string& into, std::string& why) {
  const auto found = value.find(name);
  if (!found || found->type() == json::Type::null) return true;
  into = found->string();
  return found->type() == json::Type::string || (why = std::string(name) + " is not a text", false);
}

bool take_integer(const json::Value& value, std::string_view name, int64_t& into, std::string& why) {
  const auto found = value.find(name);
  if (!found || found->type() == json::Type::null) return true;
  const std::string_view digits = found->number();
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), into);
  const bool whole = !digits.empty() && error == std::errc() && end == digits.data() + digits.size();
  return whole || (why = std::string(name) + " is not a whole number", false);
}

// "2026-11-23T21:12:14.000042Z" in microseconds since 1970; 0 for what is none.
int64_t microseconds_of(const std::string& text) {
  const std::string utc = utc_timestamp(text);
  if (utc.empty()) return 0;
  const auto part = [&](size_t at, size_t length) { return std::stoi(utc.substr(at, length)); };
  constexpr int64_t minute = 60, hour = 60 * minute, day_long = 24 * hour;
  const std::chrono::year_month_day day{std::chrono::year(part(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(part(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(part(8, 2)))};
  const int64_t seconds = std::chrono::sys_days(day).time_since_epoch().count() * day_long + part(11, 2) * hour +
                          part(14, 2) * minute + part(17, 2);
  std::string fraction = utc[19] == '.' ? utc.substr(20, utc.size() - 21) : "";
  fraction.resize(6, '0');
  return seconds * 1'000'000 + std::stoll(fraction);
}

bool take_time(const json::Value& value, Event& event, std::string& why) {
  std::string text;
  if (!take_text(value, "time", text, why) || !take_text(value, "captured_at", text, why)) return false;
  event.captured_us = microseconds_of(text);
  return text.empty() || event.captured_us != 0 || (why = "captured_at is not a timestamp", false);
}

bool take_omitted(const json::Value& value, Event& event) {
  const auto found = value.find("omitted");
  if (!found || found->type() == json::Type::null) return true;
  event.omitted = found->type() == json::Type::string ? std::string(found->string()) : found->dump();
  return true;
}

bool take_body(const json::Value& value, Event& event, std::string& why) {
  const auto body = value.find("body"), text = value.find("text");
  // A dead letter's body is shown as the text that it is.
  const bool as_text = body && value.find("dead_at") && body->type() == json::Type::string;
  if (body)
    event.body = as_text ? std::string(body->string()) : body->dump();
  else if (text)
    event.body = text->string();
  return body || text || (why = "body is missing", false);
}

bool take_op(const json::Value& value, Event& event, std::string& why) {
  std::string op = "insert";
  if (!take_text(value, "op", op, why)) return false;
  const auto known = op_from_name(op);
  if (known) event.op = *known;
  return known || (why = "op is none of insert, update, delete, truncate, backfill, emit, record", false);
}

bool take_routing_key(const json::Value& value, Event& event, std::string& why) {
  if (!take_text(value, "routing_key", event.routing_key, why)) return false;
  if (event.routing_key.empty()) return why = "routing_key is missing", false;
  std::string fault;
  return parse_routing_key(event.routing_key, &fault) || (why = "routing_key: " + fault, false);
}

}  // namespace

std::optional<Event> event_from_json(const json::Value& value, std::string& why) {
  if (value.type() != json::Type::object) return why = "an event is an object with routing_key and body", std::nullopt;
  // A dead letter tells more, of its death.
  const bool letter = value.find("dead_at").has_value();
  for (size_t i = 0; i < value.size() && !letter; ++i) {
    const std::string_view name = value.member_name(i);
    if (std::find(members.begin(), members.end(), name) != members.end()) continue;
    why = "unknown member " + std::string(name) + did_you_mean(name, members) + "; an event has " + listed(members);
    return std::nullopt;
  }
  Event event;
  const bool good = take_routing_key(value, event, why) && take_op(value, event, why) && take_body(value, event, why) &&
                    take_text(value, "key", event.key, why) && take_text(value, "message_id", event.message_id, why) &&
                    take_text(value, "source", event.source, why) && take_text(value, "as", event.as, why) &&
                    take_integer(value, "epoch", event.epoch, why) && take_integer(value, "seq", event.seq, why) &&
                    take_time(value, event, why) && take_omitted(value, event);
  return good ? std::optional(std::move(event)) : std::nullopt;
}

}  // namespace muskrat

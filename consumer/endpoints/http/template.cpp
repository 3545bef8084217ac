#include "consumer/endpoints/http/template.hpp"

#include <algorithm>
#include <array>

#include "common/http.hpp"

namespace muskrat::http_endpoint {
namespace {

constexpr std::array<std::string_view, 9> names{"$routing_key", "$source", "$object", "$action", "$op",
                                                "$message_id",  "$key",    "$epoch",  "$seq"};

std::string fact(const Event& event, std::string_view name) {
  if (name == "$routing_key") return event.routing_key;
  if (name == "$message_id") return event.message_id;
  if (name == "$key") return event.key;
  if (name == "$op") return std::string(op_name(event.op));
  if (name == "$epoch") return std::to_string(event.epoch);
  if (name == "$seq") return std::to_string(event.seq);
  const auto words = parse_routing_key(event.routing_key);
  if (!words) return event.routing_key;
  return std::string(name == "$source" ? words->source : name == "$object" ? words->object : words->action);
}

// A place of the body as text; nullopt where there is none.
std::optional<std::string> member(const json::Value& body, std::string_view path) {
  const bool steps = body.type() == json::Type::object || body.type() == json::Type::array;
  const auto value = steps ? body.path(path) : std::nullopt;
  if (!value || value->type() == json::Type::array || value->type() == json::Type::object) return std::nullopt;
  return value->scalar_text();
}

}  // namespace

std::optional<Template> Template::parse(std::string_view text, std::string& why) {
  Template made;
  std::string literal;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    const bool doubled = (c == '{' || c == '}') && at + 1 < text.size() && text[at + 1] == c;
    if (c == '}' && !doubled) return why = "a } without its {; }} stands for one", std::nullopt;
    if (c != '{' || doubled) {
      literal += c;
      at += doubled ? 2 : 1;
      continue;
    }
    const size_t end = text.find('}', at);
    if (end == std::string_view::npos) return why = "a { without its }; {{ stands for one", std::nullopt;
    const std::string place(text.substr(at + 1, end - at - 1));
    if (place.empty()) return why = "{} names nothing", std::nullopt;
    if (place[0] == '$' && std::find(names.begin(), names.end(), place) == names.end())
      return why = "there is no " + place +
                   "; there are $routing_key $source $object $action $op $message_id $key $epoch $seq",
             std::nullopt;
    made.parts_.push_back({false, std::move(literal)});
    made.parts_.push_back({true, place});
    literal.clear();
    at = end + 1;
  }
  made.parts_.push_back({false, std::move(literal)});
  return made;
}

std::optional<std::string> Template::fill(const Event& event, const json::Value& body, bool encode,
                                          std::string& why) const {
  std::string out;
  for (const Part& part : parts_) {
    if (!part.place) {
      out += part.text;
      continue;
    }
    const auto value = part.text[0] == '$' ? std::optional(fact(event, part.text)) : member(body, part.text);
    if (!value) return why = "the body has no text or number at " + part.text, std::nullopt;
    out += encode ? http::percent_encode(*value) : *value;
  }
  return out;
}

bool Template::constant() const {
  return std::none_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.place; });
}

}  // namespace muskrat::http_endpoint

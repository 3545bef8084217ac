#include "relay/scheduled/record.hpp"

#include <algorithm>

#include "common/digest.hpp"

namespace muskrat {
namespace {

constexpr size_t longest_key = 1024;

constexpr Option own_options[] = {
    {"routing_key", OptionType::text, "", "",
     "The events' routing key, such as Billing.Usage.Record; {path} stands for that member of the record.", true},
    {"max_body", OptionType::bytes, "16320KiB", "1KiB..128MiB",
     "A record whose event has a larger body is a bad one; stay below the broker's max_message_size."},
};

// Each part with its length: ("a", "bc") is not ("ab", "c").
std::string joined_parts(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all.append(std::to_string(part.size())).append(":").append(part);
  return all;
}

// RFC 9562, version 8: a hash of our own.
std::string uuid_of(std::string hash) {
  hash.resize(16);
  hash[6] = static_cast<char>((static_cast<unsigned char>(hash[6]) & 0x0f) | 0x80);
  hash[8] = static_cast<char>((static_cast<unsigned char>(hash[8]) & 0x3f) | 0x80);
  const std::string digits = hex(hash);
  return digits.substr(0, 8) + "-" + digits.substr(8, 4) + "-" + digits.substr(12, 4) + "-" + digits.substr(16, 4) +
         "-" + digits.substr(20, 12);
}

// 1.0 and 1.00 are one key.
std::string canonical_number(std::string_view digits) {
  std::string text(digits);
  if (text.find('.') == text.npos || text.find_first_of("eE") != text.npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

// The template's braces in order, or why they are not.
std::string braces_fault(const std::string& text) {
  bool open = false;
  for (const char c : text) {
    if (c != '{' && c != '}') continue;
    if (open == (c == '{')) return "a { or } without the other";
    open = c == '{';
  }
  return open ? "a { or } without the other" : "";
}

// Each {path} as one good word: what is wrong then is wrong with every record.
std::string probe_of(const std::string& text) {
  std::string probe;
  bool open = false;
  for (const char c : text) {
    if (c == '{') probe += 'x';
    if (c != '{' && c != '}' && !open) probe += c;
    if (c == '{' || c == '}') open = c == '{';
  }
  return probe;
}

[[noreturn]] void refuse(const std::string& why) { throw BadRecord(why); }

}  // namespace

OptionTable record_options() {
  static const std::vector<Option> all = joined({own_options, mapping_options()});
  return all;
}

void check_record(const Settings& settings, std::vector<Problem>& problems) {
  check_mapping(settings, problems);
  const std::string& pattern = settings.text("routing_key");
  std::string why = braces_fault(pattern);
  if (!why.empty() || !parse_routing_key(probe_of(pattern), &why))
    problems.push_back({settings.where("routing_key"), "routing_key: " + why});
}

std::string digest_of(const Record& record) {
  return hex(sha256(joined_parts({record.version, record.body})).substr(0, 16));
}

std::optional<std::string> routing_key_of(const std::string& pattern, const json::Value& record, std::string& why) {
  std::string key;
  for (size_t at = 0; at < pattern.size();) {
    if (pattern[at] != '{') {
      key += pattern[at++];
      continue;
    }
    const size_t end = std::min(pattern.find('}', at), pattern.size());
    const std::string path = pattern.substr(at + 1, end - at - 1);
    const auto value = record.path(path);
    const auto text = value ? value->scalar_text() : std::nullopt;
    if (!text) {
      why = "routing_key: it has no " + path;
      return std::nullopt;
    }
    key += *text;
    at = end + 1;
  }
  if (parse_routing_key(key)) return key;
  // What was made of it holds its data: the rule is named, the text is not.
  why = "routing_key: the template makes of it no three words of letters, digits, _ and -";
  return std::nullopt;
}

std::optional<std::string> record_key_of(const std::vector<std::string>& paths, const json::Value& record,
                                         std::string& why) {
  std::string key = "[";
  for (const std::string& path : paths) {
    const auto value = record.path(path);
    if (!value || value->type() == json::Type::null) {
      why = "key: it has " + std::string(value ? "null in " : "no ") + path;
      return std::nullopt;
    }
    if (key.size() > 1) key += ',';
    key += value->type() == json::Type::number ? canonical_number(value->number()) : value->dump();
  }
  return key + ']';
}

std::string ordering_key_of(std::string_view routing_key, const std::string& record_key) {
  std::string key(routing_key.substr(0, routing_key.rfind('.')));
  return key + ":" + (record_key.size() > longest_key ? "#" + hex(sha256(record_key)) : record_key);
}

std::string id_of_parts(std::initializer_list<std::string_view> parts) { return uuid_of(sha256(joined_parts(parts))); }

RecordShape::RecordShape(const Component& component)
    : source_(component.name),
      template_(component.settings.text("routing_key")),
      key_(component.settings.texts("key")),
      mapping_(component.settings),
      most_bytes_(static_cast<size_t>(component.settings.bytes("max_body"))) {}

RecordShape::Read RecordShape::read(const Record& record) const {
  std::string why;
  auto body = json::Document::parse(record.body, why);
  if (!body) refuse("it is not JSON: " + why);
  auto key = record_key_of(key_, body->root(), why);
  if (!key) refuse(why);
  return {std::move(*body), std::move(*key)};
}

std::optional<Event> RecordShape::event_of(const Record& record, const Read& read, int64_t epoch,
                                           int64_t captured_us) const {
  std::string why;
  const auto routing_key = routing_key_of(template_, read.body.root(), why);
  if (!routing_key) refuse(why);
  Event event;
  event.routing_key = *routing_key;
  event.source = source_;
  event.op = record.op;
  event.epoch = epoch;
  event.captured_us = captured_us;
  event.key = ordering_key_of(*routing_key, read.key);
  event.body = record.body;
  Mapped mapped = mapping_.apply(event, read.body.root());
  if (mapped.state == Mapped::State::skipped) return std::nullopt;
  if (mapped.state == Mapped::State::failed) refuse(mapped.text);
  event.body = std::move(mapped.text);
  if (event.body.size() > most_bytes_)
    refuse("its body of " + std::to_string(event.body.size()) + " bytes is larger than max_body");
  event.message_id = id_of_parts({source_, event.key, record.version, event.routing_key, event.body});
  return event;
}

std::string RecordShape::ordering_key(const Record& record) const {
  std::string why;
  const auto body = json::Document::parse(record.body, why);
  if (!body) return "";
  const auto key = record_key_of(key_, body->root(), why);
  const auto routing_key = routing_key_of(template_, body->root(), why);
  return key && routing_key ? ordering_key_of(*routing_key, *key) : "";
}

}  // namespace muskrat

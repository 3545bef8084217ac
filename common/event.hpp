// An event: what a source says has happened, as it travels from outbox to endpoint.
//
// Used by both daemons. event.cpp holds the rules of routing keys and patterns
// (given by the requirement) and nothing of any transport; common/wire.hpp turns
// an Event into an AMQP message and back.
// Thread rule: a plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muskrat {

// What happened to the row; the action word of the routing key is free, this is not.
enum class Op : char {
  insert = 'i',
  update = 'u',
  remove = 'd',  // "delete" on the wire
  truncate = 't',
  backfill = 'b',
  emit = 'e',
  record = 'r',
};

// "insert", "update", "delete", "truncate", "backfill", "emit", "record".
std::string_view op_name(Op op);
std::optional<Op> op_from_name(std::string_view name);
std::optional<Op> op_from_char(char c);

struct Event {
  std::string routing_key;  // <Source>.<Object>.<Action>
  std::string message_id;   // UUID text, fixed at capture
  std::string key;          // ordering key: "<Source>.<Object>:<canonical JSON>", may be empty (no order asked for)
  std::string source;       // x-muskrat-source: the source's name in the configuration
  Op op = Op::emit;
  int64_t epoch = 0;        // history epoch
  int64_t seq = 0;          // outbox id
  int64_t captured_us = 0;  // wall time of capture, microseconds since 1970 UTC
  std::string omitted;      // JSON array of body paths left out at capture ("" = none)
  std::string traceparent;  // W3C trace context ("" = none)
  std::string to;           // the one endpoint that it is for ("" = all whose subscriptions take it)
  std::string as;           // backfill: the action words that would have told of this row, with spaces between
  std::string body;         // JSON, UTF-8
};

// The words of a routing key; each view points into the key.
struct RoutingKey {
  std::string_view source, object, action;
};

// Three words of [A-Za-z0-9_-]+ joined by dots, 255 bytes at most. On failure
// `why` (may be null) gets one sentence that says which rule was broken.
std::optional<RoutingKey> parse_routing_key(std::string_view text, std::string* why = nullptr);

// The AMQP binding of a subscription pattern: a final '*' in a pattern of fewer
// than three words means "the rest" and becomes '#'; others stay as they are.
// nullopt + why for a pattern that can match no event.
std::optional<std::string> binding_of_pattern(std::string_view pattern, std::string* why = nullptr);

// The routing keys under which the event may be expected: its own, and what a backfill stands for.
std::vector<std::string> routing_keys_of(const Event& event);

// Whether an AMQP topic binding ('*' one word, '#' any number) takes the key.
bool binding_matches(std::string_view binding, std::string_view routing_key);

}  // namespace muskrat

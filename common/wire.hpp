// The message format: an Event as an AMQP message, and back.
//
// Used by the relay (encode), the host, `muskrat tail` and the dead letters
// (decode). docs/event-format.md is the prose of it; change both together.
//
//   exchange         the configured exchange        routing key   <Source>.<Object>.<Action>
//   message_id       UUID fixed at capture          type          the action word
//   content_type     application/json               delivery_mode 2 (persistent)
//   timestamp        capture, seconds               app_id        muskrat
//   correlation_id   the ordering key (a consistent-hash exchange can hash a property alike on every version)
//   headers: x-muskrat-key, -epoch (int64), -seq (int64), -source, -op; -omitted, -as and traceparent where there are
//   any;
//            timestamp_in_ms (int64)
// An event for one endpoint alone goes to its queue through the default exchange; its own routing key is then the
// header x-muskrat-routing-key.
#pragma once

#include <string>

#include "common/amqp.hpp"
#include "common/event.hpp"

namespace muskrat::wire {

inline constexpr std::string_view header_key = "x-muskrat-key";
inline constexpr std::string_view header_epoch = "x-muskrat-epoch";
inline constexpr std::string_view header_seq = "x-muskrat-seq";
inline constexpr std::string_view header_source = "x-muskrat-source";
inline constexpr std::string_view header_op = "x-muskrat-op";
inline constexpr std::string_view header_omitted = "x-muskrat-omitted";
inline constexpr std::string_view header_traceparent = "traceparent";
inline constexpr std::string_view header_timestamp_ms = "timestamp_in_ms";
inline constexpr std::string_view header_as = "x-muskrat-as";
// Where a message travels under another routing key (dead letters, backfill to one endpoint), its own stands here.
inline constexpr std::string_view header_routing_key = "x-muskrat-routing-key";
// Among the unrouted: the endpoint an event was for, whose queue was not there.
inline constexpr std::string_view header_to = "x-muskrat-to";

// The message views `event`, which must outlive it.
amqp::Message message_of(const Event& event, std::string_view exchange);
// The same straight to a queue, through the default exchange; views `queue` too.
amqp::Message message_to(const Event& event, std::string_view queue);

// An event from a message of ours. A foreign message (no x-muskrat headers) becomes an event too: what is missing stays
// empty or 0, op emit; false + why only when the routing key is not ours, or message_id, key or source are no text.
// Body, message_id and routing key move into the event; the other properties and all headers stay in `delivery`, which
// a dead letter repeats.
bool event_of(amqp::Delivery&& delivery, Event& event, std::string& why);

}  // namespace muskrat::wire

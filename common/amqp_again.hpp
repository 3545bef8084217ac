// A message that was delivered, published again as it was.
//
// Used by the dead letters (there and back, by the host and by a verb) and by replay of the unrouted. What brokers and
// former owners wrote about its way is for the caller to leave out. Thread rule: pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/amqp.hpp"

namespace muskrat::amqp {

// Body, properties and headers, but for the headers that `without` names. Views the delivery, `exchange` and
// `routing_key`.
Message message_again(const Delivery& delivery, std::string_view exchange, std::string_view routing_key,
                      const std::function<bool(const std::string& header)>& without);

}  // namespace muskrat::amqp

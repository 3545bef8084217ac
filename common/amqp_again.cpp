#include "common/amqp_again.hpp"

namespace muskrat::amqp {

Message message_again(const Delivery& delivery, std::string_view exchange, std::string_view routing_key,
                      const std::function<bool(const std::string& header)>& without) {
  Message message;
  message.exchange = exchange;
  message.routing_key = routing_key;
  message.body = delivery.body;
  message.message_id = delivery.message_id;
  message.content_type = delivery.content_type;
  message.type = delivery.type;
  message.app_id = delivery.app_id;
  message.correlation_id = delivery.correlation_id;
  message.timestamp_s = delivery.timestamp_s;
  for (const auto& [name, value] : delivery.headers) {
    if (without(name)) continue;
    if (const auto* text = std::get_if<std::string>(&value)) message.headers.push_back({name, std::string_view(*text)});
    if (const auto* number = std::get_if<int64_t>(&value)) message.headers.push_back({name, *number});
    if (const auto* truth = std::get_if<bool>(&value)) message.headers.push_back({name, int64_t{*truth}});
  }
  return message;
}

}  // namespace muskrat::amqp

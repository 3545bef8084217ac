#include "consumer/held_keys.hpp"

#include "common/wire.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat {
namespace {

constexpr std::string_view behind = "held behind ";
constexpr uint32_t most_letters = 65'000;  // a prefetch is 16 bits wide, and unlimited stops at 2,000 on a quorum queue

std::string text_header(const amqp::Table& headers, std::string_view name) {
  const auto found = headers.find(std::string(name));
  if (found == headers.end()) return {};
  const auto* text = std::get_if<std::string>(&found->second);
  return text ? *text : std::string();
}

struct Look : amqp::Handler {
  HeldKeys& keys;
  uint32_t seen = 0;
  explicit Look(HeldKeys& held) : keys(held) {}

  void on_delivery(amqp::Delivery&& letter) override {
    ++seen;
    const std::string reason = text_header(letter.headers, dead::header_reason);
    const std::string holder = reason.starts_with(behind) ? reason.substr(behind.size()) : letter.message_id;
    keys.hold(text_header(letter.headers, wire::header_key), holder, letter.message_id);
  }
};

}  // namespace

std::string held_behind(const std::string& message_id) { return std::string(behind) + message_id; }

void HeldKeys::rebuild(amqp::Connection& connection, const std::string& dead_queue, Deadline deadline) {
  keys_.clear();
  const auto state = connection.queue_state(dead_queue, deadline);
  if (!state) throw Failure(Remedy::reconnect, "queue " + dead_queue + " does not exist; run muskrat setup");
  if (state->messages == 0) return;
  if (state->messages > most_letters)
    throw Failure(Remedy::reconnect, "queue " + dead_queue + " holds " + std::to_string(state->messages) +
                                         " dead letters: more than on_dead: hold can keep in order; deal with them "
                                         "first, or set on_dead: continue");
  Look look(*this);
  connection.qos(static_cast<uint16_t>(state->messages), deadline);
  connection.consume(dead_queue, deadline);
  while (look.seen < state->messages) {
    if (deadline.passed()) throw Failure(Remedy::reconnect, "queue " + dead_queue + " could not be read in time");
    connection.pump(look, deadline);
  }
  connection.close_channel(deadline);  // all of them go back, in order
  connection.open_channel(deadline);
}

void HeldKeys::hold(const std::string& key, const std::string& message_id, const std::string& first) {
  if (!key.empty()) keys_.try_emplace(key, Hold{message_id, first});
}

void HeldKeys::release(const std::string& key, const std::string& message_id) {
  const auto found = keys_.find(key);
  if (found != keys_.end() && found->second.passes(message_id)) keys_.erase(found);
}

const std::string* HeldKeys::blocker(const std::string& key, const std::string& message_id) const {
  const auto found = keys_.find(key);
  return found == keys_.end() || found->second.passes(message_id) ? nullptr : &found->second.message_id;
}

}  // namespace muskrat

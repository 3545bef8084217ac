#include "consumer/held_keys.hpp"

#include <algorithm>
#include <thread>
#include <tuple>
#include <utility>

#include "common/wire.hpp"

namespace muskrat {
namespace {

constexpr milliseconds settling{100};
constexpr uint32_t most_letters = 65'000;  // a prefetch is 16 bits wide, and unlimited stops at 2,000 on a quorum queue

struct Look : amqp::Handler {
  HeldKeys& keys;
  uint32_t seen = 0;
  explicit Look(HeldKeys& held) : keys(held) {}

  void on_delivery(amqp::Delivery&& letter) override {
    ++seen;
    keys.add(letter.headers.text(wire::header_key),
             {letter.message_id, letter.headers.number(wire::header_epoch), letter.headers.number(wire::header_seq)});
  }
};

bool older(const HeldKeys::Letter& a, const HeldKeys::Letter& b) {
  const bool known = (a.epoch != 0 || a.seq != 0) && (b.epoch != 0 || b.seq != 0);
  return known && std::tie(a.epoch, a.seq) < std::tie(b.epoch, b.seq);
}

amqp::Connection::QueueState state_of(amqp::Connection& connection, const std::string& queue, Deadline deadline) {
  const auto state = connection.queue_state(queue, deadline);
  if (!state) throw Failure(Remedy::reconnect, "queue " + queue + " does not exist; run muskrat setup");
  return *state;
}

// Letters that somebody has just given back are not in the queue's count for a moment: so it is asked until two answers
// are alike.
amqp::Connection::QueueState settled_state(amqp::Connection& connection, const std::string& queue, Deadline deadline) {
  auto state = state_of(connection, queue, deadline);
  while (!deadline.passed()) {
    std::this_thread::sleep_for(settling);
    const auto again = state_of(connection, queue, deadline);
    const bool alike = again.messages == state.messages && again.consumers == state.consumers;
    state = again;
    if (alike) break;
  }
  return state;
}

auto find(const std::vector<HeldKeys::Letter>& letters, const std::string& message_id) {
  return std::find_if(letters.begin(), letters.end(),
                      [&](const HeldKeys::Letter& letter) { return letter.message_id == message_id; });
}

}  // namespace

std::string held_behind(const std::string& message_id) { return "held behind " + message_id; }

void HeldKeys::rebuild(amqp::Connection& connection, const std::string& dead_queue, Deadline deadline) {
  keys_.clear();
  letters_ = others_ = 0;
  const auto state = settled_state(connection, dead_queue, deadline);
  if (state.consumers > 0)
    throw Failure(Remedy::reconnect, "somebody is at the dead letters in " + dead_queue +
                                         " (muskrat dead?): with on_dead: hold the endpoint waits until it is done");
  if (state.messages == 0) return;
  if (state.messages > most_letters)
    throw Failure(Remedy::reconnect, "queue " + dead_queue + " holds " + std::to_string(state.messages) +
                                         " dead letters: more than on_dead: hold can keep in order; deal with them "
                                         "first, or set on_dead: continue");
  Look look(*this);
  connection.qos(static_cast<uint16_t>(state.messages), deadline);
  connection.consume(dead_queue, deadline);
  while (look.seen < state.messages) {
    if (deadline.passed()) throw Failure(Remedy::reconnect, "queue " + dead_queue + " could not be read in time");
    connection.pump(look, deadline);
  }
  connection.close_channel(deadline);  // all of them go back, in order
  connection.open_channel(deadline);
}

// Behind the last that is not younger: those without a place in history stay where they came.
void HeldKeys::add(const std::string& key, Letter letter, bool again) {
  const size_t one_more = again ? 0 : 1;
  if (key.empty()) return void(others_ += one_more);
  auto& letters = keys_[key];
  if (find(letters, letter.message_id) != letters.end()) return void(others_ += one_more);
  auto place = letters.end();
  while (place != letters.begin() && older(letter, *std::prev(place))) --place;
  letters.insert(place, std::move(letter));
  ++letters_;
}

void HeldKeys::release(const std::string& key, const std::string& message_id, bool again) {
  const auto none_held = [&] {
    if (again && others_ > 0) --others_;
  };
  const auto found = keys_.find(key);
  if (found == keys_.end()) return none_held();
  auto& letters = found->second;
  const auto letter = find(letters, message_id);
  if (letter == letters.end()) return none_held();
  letters.erase(letter);
  --letters_;
  if (letters.empty()) keys_.erase(found);
}

void HeldKeys::seen(size_t in_queue) { others_ = std::max(others_, in_queue - std::min(in_queue, letters_)); }

const std::string* HeldKeys::blocker(const std::string& key, const Letter& event) const {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return nullptr;
  const Letter& first = found->second.front();
  return first.message_id == event.message_id || older(event, first) ? nullptr : &first.message_id;
}

}  // namespace muskrat

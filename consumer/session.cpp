#include "consumer/session.hpp"

#include <algorithm>
#include <utility>

namespace muskrat {
namespace {

constexpr milliseconds rpc_span{15'000};
constexpr milliseconds goodbye_span{2'000};
constexpr milliseconds acks_every{20};
constexpr milliseconds singles_every{200};
constexpr milliseconds heard_span{100};

}  // namespace

Session::Session(amqp::Connection connection, const std::string& queue, uint16_t prefetch, uint64_t generation)
    : connection_(std::move(connection)), generation_(generation), prefetch_(prefetch) {
  const Deadline deadline = Deadline::in(rpc_span);
  connection_.qos(prefetch, deadline);
  connection_.consume(queue, deadline);
}

std::vector<amqp::Delivery> Session::pump(Deadline deadline, const Stop* stop, int wake_fd, size_t allowance) {
  allowance_ = allowance;
  arrived_bytes_ = 0;
  connection_.pump(*this, deadline, stop, wake_fd);
  return std::exchange(arrived_, {});
}

void Session::on_delivery(amqp::Delivery&& delivery) {
  // one alone is taken however large it is: else it would never be
  if (settling_.open() > 0 && arrived_bytes_ + delivery.body.size() > allowance_) overflowed_ = true;
  if (overflowed_) taking_ = false;
  if (!taking_) return;
  arrived_bytes_ += delivery.body.size();
  settling_.taken(delivery.tag, std::chrono::steady_clock::now());
  arrived_.push_back(std::move(delivery));
}

// Few acknowledgements, each for many: a quorum queue's channel keeps those beyond 32 under way in its own memory, and
// loses them when it is closed; and each is an entry of the queue's log, flushed like a message.
void Session::flush_acks(bool all) {
  const SteadyTime now = std::chrono::steady_clock::now();
  const size_t waiting = settling_.unacknowledged();
  if (waiting == 0 || (!all && now - acked_at_ < acks_every && waiting * 4 < prefetch_)) return;
  const bool singles = all || waiting * 2 >= prefetch_ || now - singles_at_ >= singles_every;
  if (singles) singles_at_ = now;
  for (const Settling::Ack& ack : settling_.take_acks(singles)) {
    connection_.ack(ack.tag, ack.multiple, Deadline::in(rpc_span));
    acked_at_ = now;
  }
}

std::optional<SteadyTime> Session::acks_due() const {
  if (settling_.unacknowledged() == 0) return std::nullopt;
  const SteadyTime soon = acked_at_ + acks_every;
  return settling_.prefix_finished() ? soon : std::max(soon, singles_at_ + singles_every);
}

amqp::Connection::QueueState Session::queue_state(const std::string& queue) {
  const auto state = connection_.queue_state(queue, Deadline::in(rpc_span));
  // asking for a queue that is not there has cost us the channel
  if (!state) throw Failure(Remedy::reconnect, "queue " + queue + " does not exist; run muskrat setup");
  return *state;
}

void Session::close() {
  taking_ = false;
  try {
    flush_acks(true);
    // for the broker to work them off: see above
    const Deadline heard = Deadline::at(acked_at_ + heard_span);
    while (!heard.passed()) connection_.pump(*this, heard);
  } catch (const Failure&) {
    // the broker will hand these out again; endpoints recognise them
  }
  connection_.close(Deadline::in(goodbye_span));
}

}  // namespace muskrat

#include "consumer/session.hpp"

#include <utility>

namespace muskrat {
namespace {

constexpr milliseconds rpc_span{15'000};
constexpr milliseconds goodbye_span{2'000};
constexpr milliseconds singles_every{200};

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
  // the first is always taken, however large: else it would never be
  if (arrived_bytes_ > 0 && arrived_bytes_ + delivery.body.size() > allowance_) overflowed_ = true;
  if (overflowed_) taking_ = false;
  if (!taking_) return;
  arrived_bytes_ += delivery.body.size() + 1;
  settling_.taken(delivery.tag, std::chrono::steady_clock::now());
  arrived_.push_back(std::move(delivery));
}

void Session::flush_acks(bool all) {
  const SteadyTime now = std::chrono::steady_clock::now();
  const bool singles = all || settling_.unacknowledged() * 2 >= prefetch_ || now - singles_at_ >= singles_every;
  if (singles) singles_at_ = now;
  for (const Settling::Ack& ack : settling_.take_acks(singles))
    connection_.ack(ack.tag, ack.multiple, Deadline::in(rpc_span));
}

void Session::close() {
  try {
    flush_acks(true);
  } catch (const Failure&) {
    // the broker will hand these out again; endpoints recognise them
  }
  connection_.close(Deadline::in(goodbye_span));
}

}  // namespace muskrat

#include "cli/confirmed.hpp"

#include "cli/context.hpp"

namespace muskrat::cli {
namespace {

constexpr size_t window = 500;
constexpr milliseconds silence = std::chrono::seconds(2);

struct ReturnWatch : amqp::Handler {
  void on_return(amqp::Returned&&) override { returned = true; }
  bool returned = false;
};

}  // namespace

ConfirmedPublisher::ConfirmedPublisher(amqp::Connection connection, std::string to)
    : connection_(std::move(connection)), to_(std::move(to)) {
  connection_.confirm_select(Deadline::in(answer_time));
}

void ConfirmedPublisher::send(const amqp::Message& message, const Stop* stop) {
  wait_for([this] { return on_their_way_.size() < window; }, stop);
  while (connection_.publish(message, Deadline::in(answer_time)) == amqp::Sent::would_block) {
    if (connection_.blocked())
      throw Failure(Remedy::stop, "the broker takes no messages (" + connection_.blocked_reason() + "); " +
                                      std::to_string(confirmed_) + " were confirmed, try again later");
    connection_.pump(*this, Deadline::in(answer_time), stop);
  }
  on_their_way_.insert(connection_.last_tag());
  connection_.pump(*this, Deadline::in(milliseconds(0)));
  require_taken();
}

void ConfirmedPublisher::settle() {
  wait_for([this] { return on_their_way_.empty(); }, nullptr);
}

void ConfirmedPublisher::close() { connection_.close(Deadline::in(silence)); }

void ConfirmedPublisher::wait_for(const std::function<bool()>& done, const Stop* stop) {
  uint64_t confirmed = confirmed_;
  for (Deadline deadline = Deadline::in(answer_time); !done();) {
    if (confirmed_ != confirmed) deadline = Deadline::in(answer_time);
    confirmed = confirmed_;
    if (deadline.passed())
      throw Failure(Remedy::stop, "the broker did not confirm within 30 s; " + std::to_string(confirmed_) +
                                      " messages were confirmed before");
    connection_.pump(*this, deadline, stop);
    require_taken();
    if (stop != nullptr && stop->requested()) return;
  }
}

void ConfirmedPublisher::require_taken() const {
  if (!refusal_.empty())
    throw Failure(Remedy::stop, to_ + " did not take a message (" + refusal_ + "); " + std::to_string(confirmed_) +
                                    " were confirmed before; see muskrat check --online");
}

void ConfirmedPublisher::on_confirm(uint64_t tag, bool multiple, bool acked) {
  if (!acked) refusal_ = "nack";
  const auto from = multiple ? on_their_way_.begin() : on_their_way_.find(tag);
  if (from == on_their_way_.end()) return;
  const auto to = multiple ? on_their_way_.upper_bound(tag) : std::next(from);
  if (acked && refusal_.empty()) confirmed_ += static_cast<uint64_t>(std::distance(from, to));
  on_their_way_.erase(from, to);
}

void ConfirmedPublisher::on_return(amqp::Returned&& returned) { refusal_ = returned.text; }

// A message to a queue that cannot be comes back, unless this user may not publish to the default exchange at all.
void require_way_to_queue(amqp::Connection& broker, const std::string& queue) {
  const Deadline deadline = Deadline::in(answer_time);
  if (!broker.queue_state(queue, deadline))
    throw Failure(Remedy::stop, "the queue " + queue + " is not there; run muskrat setup");
  const std::string nobody = queue + ".nobody";
  amqp::Message probe;
  probe.routing_key = nobody;
  probe.persistent = false;
  ReturnWatch watch;
  try {
    broker.publish(probe, deadline);
    while (!watch.returned && !deadline.passed()) broker.pump(watch, deadline);
  } catch (const amqp::ChannelError& error) {
    if (error.code() != 403) throw;
    throw Failure(Remedy::stop,
                  "the broker's user may not publish straight to a queue (" + std::string(error.what()) +
                      "); give it write on amq.default too, as docs/operations.md says; the relay's user needs it as "
                      "well");
  }
}

}  // namespace muskrat::cli

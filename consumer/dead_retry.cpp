#include "consumer/dead_retry.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "common/amqp_again.hpp"
#include "common/log.hpp"
#include "common/threads.hpp"
#include "common/wire.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat {
namespace {

constexpr milliseconds broker_span{15'000};
constexpr milliseconds confirm_span{30'000};
constexpr milliseconds goodbye_span{2'000};
constexpr milliseconds shortest_look{500}, longest_look{5 * 60'000};
constexpr milliseconds after_trouble{30'000};
constexpr uint32_t most_letters = 65'000;  // a prefetch is 16 bits wide
constexpr size_t most_bytes = size_t{16} << 20;
// A quorum queue takes 32 acknowledgements of a channel at a time, and loses those behind when it closes.
constexpr size_t breathe_every = 16;
constexpr milliseconds breath{5};

// The letters of one reading: facts of all, or those that are wanted, whole, as far as there is room.
class Reading : public amqp::Handler {
 public:
  Reading(uint32_t most, const std::unordered_set<std::string>* wanted) : most_(most), wanted_(wanted) {}
  void on_delivery(amqp::Delivery&& letter) override {
    if (seen == most_ || full) return;
    ++seen;
    LetterFacts facts = facts_of(letter);
    if (wanted_ == nullptr) return all.push_back(std::move(facts));
    if (!wanted_->contains(facts.identity)) return;
    bytes_ += letter.body.size();
    letters.push_back(std::move(letter));
    full = bytes_ > most_bytes;  // the others go in the next turn
  }
  bool over() const { return seen == most_ || full; }
  uint32_t seen = 0;
  bool full = false;
  std::vector<LetterFacts> all;
  std::deque<amqp::Delivery> letters;

 private:
  const uint32_t most_;
  const std::unordered_set<std::string>* wanted_;
  size_t bytes_ = 0;
};

// The message views the letter and `queue`.
amqp::Message message_of(const amqp::Delivery& letter, const std::string& queue) {
  amqp::Message message = amqp::message_again(letter, "", queue, dead::is_about_the_death);
  message.headers.push_back({dead::header_retries, facts_of(letter).retries + 1});
  return message;
}

// Publishes, and returns when the queue has it.
class Sender : public amqp::Handler {
 public:
  explicit Sender(amqp::Connection connection) : connection_(std::move(connection)) {
    connection_.confirm_select(Deadline::in(broker_span));
  }
  void send(const amqp::Message& message, const Stop& stop) {
    answered_ = acked_ = returned_ = false;
    const Deadline deadline = Deadline::in(confirm_span);
    if (connection_.publish(message, deadline) == amqp::Sent::would_block)
      throw Failure(Remedy::reconnect, "the broker takes no messages: " + connection_.blocked_reason());
    while (!answered_ && !stop.requested()) {
      if (deadline.passed()) throw Failure(Remedy::reconnect, "the broker did not confirm within 30 s");
      connection_.pump(*this, deadline, &stop);
    }
    if (!acked_ || returned_) throw Failure(Remedy::reconnect, "the endpoint's queue did not take a letter");
  }
  void close() { connection_.close(Deadline::in(goodbye_span)); }

 private:
  void on_confirm(uint64_t, bool, bool acked) override { answered_ = true, acked_ = acked; }
  void on_return(amqp::Returned&&) override { returned_ = true; }
  amqp::Connection connection_;
  bool answered_ = false, acked_ = false, returned_ = false;
};

}  // namespace

DeadRetrier::DeadRetrier(std::function<amqp::Address()> broker, const Topology& topology, std::string endpoint,
                         RetryPlan plan)
    : broker_(std::move(broker)),
      endpoint_(std::move(endpoint)),
      queue_(topology.queue(endpoint_)),
      dead_queue_(topology.dead_queue(endpoint_)),
      plan_(plan),
      sent_(metrics::counter("muskrat_endpoint_dead_retried_total",
                             "Dead letters that the host sent to the endpoint again (dead_retry_every).",
                             {{"endpoint", endpoint_}})) {
  if (plan_.every.count() == 0) return;
  thread_ = std::thread([this] {
    name_this_thread("again " + endpoint_);
    run();
  });
}

DeadRetrier::~DeadRetrier() {
  quit_.request();
  if (thread_.joinable()) thread_.join();
}

void DeadRetrier::run() {
  const milliseconds look_every = std::clamp(plan_.every / 4, shortest_look, longest_look);
  milliseconds rest = look_every;
  while (!quit_.wait(rest)) {
    rest = std::max(look_every, after_trouble);
    try {
      turn();
      rest = look_every;
    } catch (const amqp::ChannelError& error) {
      log::warning("consumer", "dead letters cannot be sent again",
                   {{"endpoint", endpoint_},
                    {"why", error.what()},
                    {"hint", error.code() == 403 ? "give the host's user on the broker write on amq.default" : ""}});
    } catch (const std::exception& error) {
      log::warning("consumer", "dead letters were not sent again, trying later",
                   {{"endpoint", endpoint_}, {"why", error.what()}});
    }
  }
}

amqp::Connection DeadRetrier::connect(const char* what) {
  return amqp::Connection::open(broker_(), "muskrat consume " + endpoint_ + what, Deadline::in(broker_span), &quit_);
}

void DeadRetrier::turn() {
  amqp::Connection reader = connect(" letters again");
  const uint32_t letters = begin(reader);
  if (letters > 0) {
    const auto due = look(reader, letters);
    reader.close_channel(Deadline::in(broker_span));  // all of them go back, in order
    reader.open_channel(Deadline::in(broker_span));
    const size_t sent = due.empty() ? 0 : send(reader, letters, due);
    if (sent > 0)
      log::info("consumer", "dead letters sent again",
                {{"endpoint", endpoint_}, {"letters", static_cast<int64_t>(sent)}});
  }
  reader.close(Deadline::in(goodbye_span));
}

// How many there are to look at; 0 when somebody else is at them.
uint32_t DeadRetrier::begin(amqp::Connection& reader) {
  const auto state = reader.queue_state(dead_queue_, Deadline::in(broker_span));
  if (!state) throw Failure(Remedy::reconnect, "queue " + dead_queue_ + " does not exist; run muskrat setup");
  return state->consumers > 0 ? 0 : std::min(state->messages, most_letters);
}

std::unordered_set<std::string> DeadRetrier::look(amqp::Connection& reader, uint32_t letters) {
  Reading reading(letters, nullptr);
  reader.qos(static_cast<uint16_t>(letters), Deadline::in(broker_span));
  reader.consume(dead_queue_, Deadline::in(broker_span));
  while (!reading.over() && !quit_.requested())
    if (!reader.pump(reading, Deadline::in(broker_span), &quit_)) break;
  return due_letters(reading.all, plan_, wall_clock_us() / 1000);
}

size_t DeadRetrier::send(amqp::Connection& reader, uint32_t letters, const std::unordered_set<std::string>& due) {
  Reading reading(letters, &due);
  reader.qos(static_cast<uint16_t>(letters), Deadline::in(broker_span));
  reader.consume(dead_queue_, Deadline::in(broker_span));
  Sender sender(connect(" letters again (publishing)"));
  size_t sent = 0;
  while (!quit_.requested() && (!reading.letters.empty() || !reading.over())) {
    if (reading.letters.empty()) {
      if (!reader.pump(reading, Deadline::in(broker_span), &quit_)) break;
      continue;
    }
    const amqp::Delivery letter = std::move(reading.letters.front());
    reading.letters.pop_front();
    sender.send(message_of(letter, queue_), quit_);
    reader.ack(letter.tag, false, Deadline::in(broker_span));
    sent_.add();
    if (++sent % breathe_every == 0) reader.pump(reading, Deadline::in(breath));
  }
  reader.pump(reading, Deadline::in(breath));
  sender.close();
  return sent;
}

}  // namespace muskrat

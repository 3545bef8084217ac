#include "consumer/dead_letters.hpp"

#include <exception>

#include "common/amqp_again.hpp"
#include "common/backoff.hpp"
#include "common/log.hpp"
#include "common/threads.hpp"
#include "common/wire.hpp"

namespace muskrat {
namespace {

constexpr size_t window = 256;
constexpr milliseconds quiet_span{10'000};
constexpr milliseconds confirm_span{30'000};

bool is_ours_to_write(const std::string& header) {
  return header == wire::header_routing_key || header == dead::header_reason || header == dead::header_endpoint ||
         header == dead::header_attempts || header == dead::header_at || header == dead::header_cause ||
         header == dead::header_trail || header == "x-delivery-count";
}

}  // namespace

bool dead::is_about_the_death(const std::string& header) {
  return header == header_reason || header == header_endpoint || header == header_attempts || header == header_at ||
         header == header_cause || header == header_retries || header == "x-delivery-count" ||
         header.starts_with("x-first-death-") || header.starts_with("x-last-death-");
}

DeadLetterOffice::DeadLetterOffice(std::function<amqp::Address()> broker, const Topology& topology,
                                   std::string endpoint, Mailbox& mailbox)
    : broker_(std::move(broker)), topology_(topology), endpoint_(std::move(endpoint)), mailbox_(mailbox) {
  thread_ = std::thread([this] {
    name_this_thread("dead " + endpoint_);
    run();
  });
}

DeadLetterOffice::~DeadLetterOffice() {
  {
    std::lock_guard lock(mutex_);
    quit_.request();
  }
  wake_.notify_one();
  thread_.join();
}

void DeadLetterOffice::bury(DeadLetter letter) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(letter));
  }
  wake_.notify_one();
}

void DeadLetterOffice::abandon(uint64_t generation) {
  std::lock_guard lock(mutex_);
  waiting_.clear();
  abandoned_ = generation;
}

void DeadLetterOffice::run() {
  Backoff backoff(milliseconds(200), milliseconds(30'000));
  while (take_letters()) {
    try {
      work();
      if (refusal_.empty()) {
        backoff.reset();
        continue;
      }
      report_trouble(refusal_);
    } catch (const std::exception& failure) {  // whatever it was: the letters wait, the host lives
      connection_.reset();
      report_trouble(failure.what());
    }
    put_back();
    quit_.wait(backoff.next());
  }
  if (connection_) connection_->close(Deadline::in(milliseconds(2000)));
}

bool DeadLetterOffice::take_letters() {
  std::unique_lock lock(mutex_);
  const auto something = [this] { return quit_.requested() || !waiting_.empty(); };
  while (!wake_.wait_for(lock, connection_ ? quiet_span : milliseconds(std::chrono::hours(1)), something)) {
    // nobody answers heartbeats while the office sleeps: it hangs up instead
    if (connection_) connection_->close(Deadline::in(milliseconds(2000)));
    connection_.reset();
  }
  while (!waiting_.empty() && to_send_.size() < window) {
    to_send_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return !quit_.requested();
}

void DeadLetterOffice::work() {
  refusal_.clear();
  returned_.clear();
  if (!connection_) {
    connection_ = amqp::Connection::open(broker_(), "muskrat consume " + endpoint_ + " dead letters",
                                         Deadline::in(milliseconds(15'000)), &quit_);
    connection_->confirm_select(Deadline::in(milliseconds(15'000)));
  }
  while (!to_send_.empty() && refusal_.empty()) {
    send(to_send_.front());
    sent_.emplace(connection_->last_tag(), std::move(to_send_.front()));
    to_send_.pop_front();
  }
  await_confirms();
}

void DeadLetterOffice::send(const DeadLetter& letter) {
  const std::string exchange = topology_.dead_exchange();
  amqp::Message message = amqp::message_again(letter.original, exchange, endpoint_, is_ours_to_write);
  message.headers.push_back({wire::header_routing_key, std::string_view(letter.routing_key)});
  message.headers.push_back({dead::header_reason, std::string_view(letter.reason)});
  message.headers.push_back({dead::header_cause, letter.cause});
  if (!letter.trail.empty()) message.headers.push_back({dead::header_trail, std::string_view(letter.trail)});
  message.headers.push_back({dead::header_endpoint, std::string_view(endpoint_)});
  message.headers.push_back({dead::header_attempts, int64_t{letter.attempts}});
  message.headers.push_back({dead::header_at, wall_clock_us() / 1000});
  const Deadline deadline = Deadline::in(confirm_span);
  while (connection_->publish(message, deadline) == amqp::Sent::would_block) {
    if (connection_->blocked() || deadline.passed() || quit_.requested())
      throw Failure(Remedy::reconnect, "the broker takes no messages: " + connection_->blocked_reason());
    connection_->pump(*this, deadline, &quit_);  // those before it are still on their way
  }
}

void DeadLetterOffice::await_confirms() {
  const Deadline deadline = Deadline::in(confirm_span);
  while (!sent_.empty()) {
    if (deadline.passed()) throw Failure(Remedy::reconnect, "the broker did not confirm dead letters within 30 s");
    if (quit_.requested()) return;
    connection_->pump(*this, deadline, &quit_);
  }
}

// What was not confirmed is sent again, in the order in which it came.
void DeadLetterOffice::put_back() {
  for (auto letter = sent_.rbegin(); letter != sent_.rend(); ++letter) to_send_.push_front(std::move(letter->second));
  sent_.clear();
  std::lock_guard lock(mutex_);
  for (auto letter = to_send_.rbegin(); letter != to_send_.rend(); ++letter)
    if (letter->generation > abandoned_) waiting_.push_front(std::move(*letter));
  to_send_.clear();
}

void DeadLetterOffice::report_trouble(const std::string& why) {
  log::warning("consumer", "dead letters not published, trying again", {{"endpoint", endpoint_}, {"why", why}});
  Report report;
  report.what = Report::What::unburied;
  report.why = why;
  mailbox_.post(std::move(report));
}

void DeadLetterOffice::on_return(amqp::Returned&& returned) {
  refusal_ = "exchange " + topology_.dead_exchange() + " has no queue for " + endpoint_ + " (" + returned.text +
             "); run muskrat setup";
  returned_.insert(std::move(returned.message_id));
}

void DeadLetterOffice::on_confirm(uint64_t tag, bool multiple, bool acked) {
  if (!multiple) return settle(tag, acked);
  while (!sent_.empty() && sent_.begin()->first <= tag) settle(sent_.begin()->first, acked);
}

void DeadLetterOffice::settle(uint64_t tag, bool acked) {
  const auto found = sent_.find(tag);
  if (found == sent_.end()) return;
  DeadLetter letter = std::move(found->second);
  sent_.erase(found);
  if (!acked || returned_.contains(letter.original.message_id)) {
    if (!acked) refusal_ = "the broker refused a dead letter (nack) on exchange " + topology_.dead_exchange();
    to_send_.push_back(std::move(letter));
    return;
  }
  Report report;
  report.what = Report::What::buried;
  report.generation = letter.generation;
  report.tag = letter.tag;
  mailbox_.post(std::move(report));
}

}  // namespace muskrat

// muskrat dead retry: sends dead letters to their endpoint's queue again, each out of the dead letters only when the
// queue has it.
//
// One letter at a time: published with confirm through the default exchange, then acknowledged. So each key keeps the
// order in which its letters stand, and whatever ends this program in between leaves a letter in one place at least; in
// both after a crash between confirm and acknowledgement, which the endpoint recognises by message_id. Publishing has a
// connection of its own: one that publishes stalls under an alarm.
#include <set>

#include "cli/context.hpp"
#include "cli/dead_walk.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/wire.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat::cli {
namespace {

constexpr milliseconds silence = std::chrono::seconds(2);

class Publisher : public amqp::Handler {
 public:
  Publisher(amqp::Connection connection, std::string queue)
      : connection_(std::move(connection)), queue_(std::move(queue)) {
    connection_.confirm_select(Deadline::in(answer_time));
  }

  // Returns when the queue has it; Failure{stop} when it does not take it.
  void send(const amqp::Delivery& letter) {
    const Deadline deadline = Deadline::in(answer_time);
    answered_ = acked_ = false;
    returned_.clear();
    if (connection_.publish(message_of(letter), deadline) == amqp::Sent::would_block)
      throw Failure(Remedy::stop, "the broker takes no messages (" + connection_.blocked_reason() +
                                      "); the letters stay where they are, try again later");
    while (!answered_) {
      if (deadline.passed())
        throw Failure(Remedy::stop, "the broker did not confirm within 30 s; the letter stays where it is");
      connection_.pump(*this, deadline);
    }
    if (!returned_.empty() || !acked_)
      throw Failure(Remedy::stop, "the queue " + queue_ + " did not take a letter" +
                                      (returned_.empty() ? "" : " (" + returned_ + ")") +
                                      "; it stays where it is; see muskrat check --online");
  }

  void close() { connection_.close(Deadline::in(silence)); }

 private:
  amqp::Message message_of(const amqp::Delivery& letter) const {
    amqp::Message message;
    message.exchange = "";
    message.routing_key = queue_;
    message.body = letter.body;
    message.message_id = letter.message_id;
    message.content_type = letter.content_type;
    message.type = letter.type;
    message.app_id = letter.app_id;
    message.correlation_id = letter.correlation_id;
    message.timestamp_s = letter.timestamp_s;
    for (const auto& [name, value] : letter.headers) {
      if (dead::is_about_the_death(name)) continue;
      if (const auto* text = std::get_if<std::string>(&value))
        message.headers.push_back({name, std::string_view(*text)});
      if (const auto* number = std::get_if<int64_t>(&value)) message.headers.push_back({name, *number});
      if (const auto* truth = std::get_if<bool>(&value)) message.headers.push_back({name, int64_t{*truth}});
    }
    return message;
  }

  void on_confirm(uint64_t, bool, bool acked) override { answered_ = true, acked_ = acked; }
  void on_return(amqp::Returned&& returned) override { returned_ = returned.text; }

  amqp::Connection connection_;
  const std::string queue_;
  bool answered_ = false, acked_ = false;
  std::string returned_;
};

class DeadRetry : public Command {
 public:
  explicit DeadRetry(Arguments& arguments) {
    arguments.positional("ENDPOINT", endpoint_, "The endpoint's name in the configuration.");
    filter_.declare(arguments);
    filter_.declare_limit(arguments);
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    holds_ = find_component(config.endpoints, endpoint_, "endpoint").settings.text("on_dead") == "hold";
    filter_.prepare();
    LetterWalk walk(config, endpoint_, "dead retry");
    if (walk.total() > 0) {
      Publisher publisher(open_broker(config, "dead retry (publishing)"), config.topology.queue(endpoint_));
      walk.each(filter_, [&](const amqp::Delivery& letter) { return send(publisher, letter); });
      publisher.close();
    }
    walk.close();
    return report(walk);
  }

 private:
  bool send(Publisher& publisher, const amqp::Delivery& letter) {
    if (header_text(letter.headers, wire::header_routing_key).empty()) {
      foreign_.insert(
          identity_of(letter));  // the broker's own doing, or a stranger's: the host could not tell what it is
      return false;
    }
    publisher.send(letter);
    return true;
  }

  int report(const LetterWalk& walk) const {
    const size_t sent = walk.taken_out();
    print(counted(sent, "dead letter") + " sent to the endpoint " + endpoint_ + " again; " +
          std::to_string(walk.total() - sent) + " left.\n");
    if (!foreign_.empty())
      print(counted(foreign_.size(), "letter") + " without a routing key of its own cannot be sent again.\n");
    if (holds_ && sent > 0)
      print(
          "With on_dead: hold, events of these keys that come before the letters are in place become letters behind\n"
          "them: look again in a while, and send those too.\n");
    if (walk.looked_at() < walk.total() && filter_.limit() == 0)
      print("Only the first " + std::to_string(walk.looked_at()) + " were looked at: run it again for the others.\n");
    return sent == 0 && (!foreign_.empty() || !filter_.empty()) ? exit_problems : exit_ok;
  }

  std::string endpoint_;
  LetterFilter filter_;
  bool holds_ = false;
  std::set<std::string> foreign_;
};

}  // namespace

std::unique_ptr<Command> make_dead_retry(Arguments& arguments) { return std::make_unique<DeadRetry>(arguments); }

}  // namespace muskrat::cli

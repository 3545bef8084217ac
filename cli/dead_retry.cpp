// muskrat dead retry: sends dead letters to their endpoint's queue again, each out of the dead letters only when the
// queue has it.
//
// One letter at a time: published with confirm through the default exchange, then acknowledged. So each key keeps the
// order in which its letters stand, and whatever ends this program in between leaves a letter in one place at least; in
// both after a crash between confirm and acknowledgement, which the endpoint recognises by message_id. Publishing has a
// connection of its own: one that publishes stalls under an alarm.
#include <set>

#include "cli/confirmed.hpp"
#include "cli/context.hpp"
#include "cli/dead_walk.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/amqp_again.hpp"
#include "common/wire.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat::cli {
namespace {

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
      queue_ = config.topology.queue(endpoint_);
      ConfirmedPublisher publisher(open_broker(config, "dead retry (publishing)"), "the queue " + queue_);
      walk.each(filter_, [&](const amqp::Delivery& letter) { return send(publisher, letter); });
      publisher.close();
    }
    walk.close();
    try {
      return report(walk);
    } catch (const BrokenPipe&) {
      throw BrokenPipe{counted(walk.taken_out(), "dead letter") + " sent again."};
    }
  }

 private:
  // True when the queue has it; Failure{stop} when it does not take it, and the letter stays where it is.
  bool send(ConfirmedPublisher& publisher, const amqp::Delivery& letter) {
    if (letter.headers.text(wire::header_routing_key).empty()) {
      foreign_.insert(
          identity_of(letter));  // the broker's own doing, or a stranger's: the host could not tell what it is
      return false;
    }
    publisher.send(amqp::message_again(letter, "", queue_, dead::is_about_the_death));
    publisher.settle();
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

  std::string endpoint_, queue_;
  LetterFilter filter_;
  bool holds_ = false;
  std::set<std::string> foreign_;
};

}  // namespace

std::unique_ptr<Command> make_dead_retry(Arguments& arguments) { return std::make_unique<DeadRetry>(arguments); }

}  // namespace muskrat::cli

// muskrat dead retry: sends dead letters to their endpoint's queue again, each out of the dead letters only when the
// queue has it.
//
// One letter at a time: published with confirm through the default exchange, then acknowledged. So each key keeps the
// order in which its letters stand, and whatever ends this program in between leaves a letter in one place at least; in
// both after a crash between confirm and acknowledgement, which the endpoint recognises by message_id. Publishing has a
// connection of its own: one that publishes stalls under an alarm.
#include <algorithm>
#include <deque>

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/wire.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat::cli {
namespace {

constexpr uint32_t unfiltered_prefetch = 500;   // what is sent leaves the window, so that it moves on
constexpr uint32_t filtered_prefetch = 65'535;  // what is passed over stays in it: as many as a prefetch can hold
constexpr milliseconds silence = std::chrono::seconds(2);
constexpr size_t heartbeat_every = 200;

std::string text_of(const amqp::Table& headers, std::string_view name) {
  const auto found = headers.find(std::string(name));
  const auto* text = found == headers.end() ? nullptr : std::get_if<std::string>(&found->second);
  return text ? *text : "";
}

// What the office and the broker wrote about the death; the rest is the event's own.
bool is_about_the_death(const std::string& name) {
  return name == dead::header_reason || name == dead::header_endpoint || name == dead::header_attempts ||
         name == dead::header_at || name == "x-delivery-count" || name.starts_with("x-first-death-") ||
         name.starts_with("x-last-death-");
}

struct Filter {
  std::string key, reason;
  std::vector<std::string> message_ids;

  bool empty() const { return key.empty() && reason.empty() && message_ids.empty(); }
  bool takes(const amqp::Delivery& letter) const {
    return (key.empty() || key == text_of(letter.headers, wire::header_key)) &&
           (reason.empty() || text_of(letter.headers, dead::header_reason).find(reason) != std::string::npos) &&
           (message_ids.empty() ||
            std::find(message_ids.begin(), message_ids.end(), letter.message_id) != message_ids.end());
  }
};

// The first `most` letters of the queue; the bodies of those that are not asked for are dropped at once.
class Chosen : public amqp::Handler {
 public:
  Chosen(const Filter& filter, uint32_t most) : filter_(filter), most_(most) {}
  void on_delivery(amqp::Delivery&& letter) override {
    if (seen == most_) return;  // came after we began: for the next time
    ++seen;
    if (filter_.takes(letter)) letters.push_back(std::move(letter));
  }
  std::deque<amqp::Delivery> letters;
  uint32_t seen = 0;

 private:
  const Filter& filter_;
  const uint32_t most_;
};

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
      if (is_about_the_death(name)) continue;
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
    arguments.text("--key", "KEY", filter_.key, "Only letters of this ordering key, as dead list shows it.");
    arguments.text("--reason", "TEXT", filter_.reason, "Only letters whose reason holds this text.");
    arguments.texts("--message-id", "ID", filter_.message_ids, "Only this letter.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    find_component(config.endpoints, endpoint_, "endpoint");
    const std::string dead_queue = config.topology.dead_queue(endpoint_);
    amqp::Connection reader = open_broker(config, "dead retry");
    const auto state = reader.queue_state(dead_queue, Deadline::in(answer_time));
    if (!state) throw Failure(Remedy::stop, "the queue " + dead_queue + " is not there; run muskrat setup");
    if (state->consumers > 0)
      throw Failure(Remedy::stop, "somebody else is at the dead letters of " + endpoint_ +
                                      " (another muskrat dead?); two at once would break their order: try again");
    if (state->messages > 0) {
      Publisher publisher(open_broker(config, "dead retry (publishing)"), config.topology.queue(endpoint_));
      work(reader, publisher, dead_queue, state->messages);
      publisher.close();
    }
    reader.close(Deadline::in(silence));  // what was passed over goes back, in order
    return report(state->messages);
  }

 private:
  void work(amqp::Connection& reader, Publisher& publisher, const std::string& queue, uint32_t count) {
    const uint32_t prefetch = std::min(count, filter_.empty() ? unfiltered_prefetch : filtered_prefetch);
    reader.qos(static_cast<uint16_t>(prefetch), Deadline::in(answer_time));
    reader.consume(queue, Deadline::in(answer_time));
    const uint32_t most = filter_.empty() ? count : prefetch;
    Chosen chosen(filter_, most);
    while (chosen.seen < most || !chosen.letters.empty()) {
      if (chosen.letters.empty() && !reader.pump(chosen, Deadline::in(silence))) break;
      if (chosen.letters.empty()) continue;
      send(reader, publisher, chosen.letters.front());
      chosen.letters.pop_front();
      if (sent_ % heartbeat_every == 0) reader.pump(chosen, Deadline::in(milliseconds(0)));
    }
    looked_at_ = chosen.seen;
  }

  void send(amqp::Connection& reader, Publisher& publisher, const amqp::Delivery& letter) {
    if (text_of(letter.headers, wire::header_routing_key).empty()) {
      ++foreign_;  // the broker's own doing, or a stranger's: the host could not tell what it is
      return;
    }
    publisher.send(letter);
    reader.ack(letter.tag, false, Deadline::in(answer_time));
    ++sent_;
  }

  int report(size_t total) const {
    print(counted(sent_, "dead letter") + " sent to the endpoint " + endpoint_ + " again; " +
          std::to_string(total - sent_) + " left.\n");
    if (foreign_ > 0) print(counted(foreign_, "letter") + " without a routing key of its own cannot be sent again.\n");
    if (looked_at_ < total)
      print("Only the first " + std::to_string(looked_at_) + " were looked at: run it again for the others.\n");
    return sent_ == 0 && (foreign_ > 0 || !filter_.empty()) ? exit_problems : exit_ok;
  }

  std::string endpoint_;
  Filter filter_;
  size_t sent_ = 0, foreign_ = 0;
  uint32_t looked_at_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_dead_retry(Arguments& arguments) { return std::make_unique<DeadRetry>(arguments); }

}  // namespace muskrat::cli

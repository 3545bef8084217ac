// muskrat dead list: looks at an endpoint's dead letters and gives them back.
#include <algorithm>

#include "cli/context.hpp"
#include "cli/event_text.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/json.hpp"
#include "common/wire.hpp"

namespace muskrat::cli {
namespace {

struct Letter {
  std::string routing_key, reason, key, message_id, body;
  int64_t attempts = 0, dead_at_ms = 0;
};

std::string text_of(const amqp::Table& headers, const char* name) {
  const auto found = headers.find(name);
  const auto* text = found == headers.end() ? nullptr : std::get_if<std::string>(&found->second);
  return text ? *text : "";
}

int64_t number_of(const amqp::Table& headers, const char* name) {
  const auto found = headers.find(name);
  const auto* number = found == headers.end() ? nullptr : std::get_if<int64_t>(&found->second);
  return number ? *number : 0;
}

class Collector : public amqp::Handler {
 public:
  void on_delivery(amqp::Delivery&& delivery) override {
    Letter letter;
    letter.routing_key = text_of(delivery.headers, "x-muskrat-routing-key");
    if (letter.routing_key.empty()) letter.routing_key = delivery.routing_key;
    letter.reason = text_of(delivery.headers, "x-muskrat-reason");
    letter.key = text_of(delivery.headers, "x-muskrat-key");
    letter.attempts = number_of(delivery.headers, "x-muskrat-attempts");
    letter.dead_at_ms = number_of(delivery.headers, "x-muskrat-dead-at");
    letter.message_id = delivery.message_id;
    letter.body = std::move(delivery.body);
    letters.push_back(std::move(letter));
  }
  std::vector<Letter> letters;
};

std::string letter_json(const Letter& letter, bool body) {
  json::Object object;
  object.add("dead_at", iso_time(letter.dead_at_ms * 1000)).add("routing_key", letter.routing_key);
  object.add("key", letter.key).add("reason", letter.reason).add("attempts", letter.attempts);
  object.add("message_id", letter.message_id);
  if (body) object.add("body", letter.body);
  return object.text() + "\n";
}

class DeadList : public Command {
 public:
  explicit DeadList(Arguments& arguments) {
    arguments.positional("ENDPOINT", endpoint_, "The endpoint's name in the configuration.");
    arguments.flag("--json", json_, "One JSON object per line.");
    arguments.flag("--body", body_, "Show the bodies too: customers' data.");
    arguments.number("-n,--limit", "N", limit_, 1, 10000, "Most to list (default 100).");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    find_component(config.endpoints, endpoint_, "endpoint");
    amqp::Connection broker = open_broker(config, "dead list");
    const std::string queue = config.topology.dead_queue(endpoint_);
    const auto state = broker.queue_state(queue, Deadline::in(answer_time));
    if (!state) throw Failure(Remedy::stop, "the queue " + queue + " is not there; run muskrat setup");
    const std::vector<Letter> letters = look(broker, queue, std::min<int64_t>(limit_, state->messages));
    broker.close(Deadline::in(std::chrono::seconds(2)));
    show(letters, state->messages);
    return exit_ok;
  }

 private:
  static std::vector<Letter> look(amqp::Connection& broker, const std::string& queue, int64_t wanted) {
    if (wanted == 0) return {};
    const Deadline deadline = Deadline::in(answer_time);
    broker.qos(static_cast<uint16_t>(wanted), deadline);
    broker.consume(queue, deadline);
    Collector collector;
    // Somebody else may hold some of them: then fewer come, and silence is the end.
    while (static_cast<int64_t>(collector.letters.size()) < wanted) {
      if (!broker.pump(collector, Deadline::in(std::chrono::seconds(2)))) break;
    }
    // Not acknowledged: closing the channel puts all of them back, in order.
    broker.close_channel(Deadline::in(answer_time));
    return std::move(collector.letters);
  }

  void show(const std::vector<Letter>& letters, size_t total) const {
    if (json_) {
      for (const Letter& letter : letters) print(letter_json(letter, body_));
      return;
    }
    Table table({"DEAD SINCE", "ROUTING KEY", "KEY", "TRIES", "MESSAGE ID", "REASON"});
    std::string bodies;
    for (const Letter& letter : letters) {
      table.add({iso_time(letter.dead_at_ms * 1000), harmless(letter.routing_key), harmless(letter.key),
                 std::to_string(letter.attempts), harmless(letter.message_id), harmless(letter.reason)});
      if (body_) bodies += harmless(letter.message_id) + "  " + harmless(letter.body) + "\n";
    }
    print("The endpoint " + endpoint_ + " has " + counted(total, "dead letter") + ".\n");
    if (!table.empty()) print(table.text());
    if (body_ && !bodies.empty()) print("\n" + bodies);
    if (letters.size() < total) print("Shown: " + std::to_string(letters.size()) + "; --limit shows more.\n");
  }

  std::string endpoint_;
  bool json_ = false, body_ = false;
  int64_t limit_ = 100;
};

}  // namespace

std::unique_ptr<Command> make_dead_list(Arguments& arguments) { return std::make_unique<DeadList>(arguments); }

}  // namespace muskrat::cli

#include "cli/dead_walk.hpp"

#include <algorithm>
#include <deque>
#include <thread>

#include "cli/context.hpp"
#include "common/wire.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat::cli {
namespace {

constexpr uint32_t unfiltered_prefetch = 500;   // what is taken out leaves the window, so that it moves on
constexpr uint32_t filtered_prefetch = 65'535;  // what is passed over stays in it: as many as a prefetch can hold
constexpr milliseconds silence = std::chrono::seconds(2);
// A quorum queue takes 32 acknowledgements of a channel at a time; those behind wait in the channel, and are lost when
// it closes before they were passed on. So they are given time.
constexpr size_t breathe_every = 16;
constexpr milliseconds breath{5};

// The first `most` letters of the queue; the bodies of those that are not asked for are dropped at once.
class Chosen : public amqp::Handler {
 public:
  Chosen(const LetterFilter& filter, uint32_t most) : filter_(filter), most_(most) {}
  void on_delivery(amqp::Delivery&& letter) override {
    if (seen == most_) return;  // came after we began: for the next time
    ++seen;
    if (filter_.takes(letter)) letters.push_back(std::move(letter));
  }
  std::deque<amqp::Delivery> letters;
  uint32_t seen = 0;

 private:
  const LetterFilter& filter_;
  const uint32_t most_;
};

}  // namespace

void LetterFilter::declare(Arguments& arguments) {
  arguments.text("--key", "KEY", key, "Only letters of this ordering key, as dead list shows it.");
  arguments.text("--reason", "TEXT", reason, "Only letters whose reason holds this text.");
  arguments.texts("--message-id", "ID", message_ids, "Only this letter.");
}

bool LetterFilter::takes(const amqp::Delivery& letter) const {
  return (key.empty() || key == header_text(letter.headers, wire::header_key)) &&
         (reason.empty() || header_text(letter.headers, dead::header_reason).find(reason) != std::string::npos) &&
         (message_ids.empty() ||
          std::find(message_ids.begin(), message_ids.end(), letter.message_id) != message_ids.end());
}

std::string header_text(const amqp::Table& headers, std::string_view name) {
  const auto found = headers.find(std::string(name));
  const auto* text = found == headers.end() ? nullptr : std::get_if<std::string>(&found->second);
  return text ? *text : "";
}

LetterWalk::LetterWalk(const Config& config, const std::string& endpoint, const std::string& verb)
    : reader_(open_broker(config, verb)), queue_(config.topology.dead_queue(endpoint)) {
  auto state = reader_.queue_state(queue_, Deadline::in(answer_time));
  // One that has just closed its connection is still counted for a moment.
  for (const Deadline patience = Deadline::in(silence); state && state->consumers > 0 && !patience.passed();) {
    std::this_thread::sleep_for(milliseconds(50));
    state = reader_.queue_state(queue_, Deadline::in(answer_time));
  }
  if (!state) throw Failure(Remedy::stop, "the queue " + queue_ + " is not there; run muskrat setup");
  if (state->consumers > 0)
    throw Failure(Remedy::stop, "somebody else is at the dead letters of " + endpoint +
                                    " (another muskrat dead?); two at once would break their order: try again");
  total_ = state->messages;
}

void LetterWalk::each(const LetterFilter& filter, const Action& action) {
  const uint32_t most = std::min(total_, filter.empty() ? total_ : filtered_prefetch);
  walk(filter, filter.empty() ? unfiltered_prefetch : most, most, action);
}

void LetterWalk::look(const LetterFilter& filter, const std::function<void(const amqp::Delivery&)>& action) {
  const uint32_t most = std::min(total_, filtered_prefetch);
  walk(filter, most, most, [&](const amqp::Delivery& letter) {
    action(letter);
    return false;
  });
}

void LetterWalk::walk(const LetterFilter& filter, uint32_t window, uint32_t most, const Action& action) {
  if (total_ == 0) return;
  reader_.qos(static_cast<uint16_t>(std::min(window, most)), Deadline::in(answer_time));
  reader_.consume(queue_, Deadline::in(answer_time));
  Chosen chosen(filter, most);
  while (chosen.seen < most || !chosen.letters.empty()) {
    if (chosen.letters.empty() && !reader_.pump(chosen, Deadline::in(silence))) break;
    if (chosen.letters.empty()) continue;
    const amqp::Delivery letter = std::move(chosen.letters.front());
    chosen.letters.pop_front();
    if (!action(letter)) continue;
    reader_.ack(letter.tag, false, Deadline::in(answer_time));
    if (++taken_out_ % breathe_every == 0) reader_.pump(chosen, Deadline::in(breath));
  }
  looked_at_ = chosen.seen;
}

// What was passed over goes back, in order.
void LetterWalk::close() { reader_.close(Deadline::in(silence)); }

}  // namespace muskrat::cli

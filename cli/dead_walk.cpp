#include "cli/dead_walk.hpp"

#include <algorithm>
#include <thread>

#include "cli/context.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat::cli {
namespace {

constexpr uint32_t unfiltered_prefetch = 500;   // what is taken out leaves the window, so that it moves on
constexpr uint32_t filtered_prefetch = 65'535;  // what is passed over stays in it: as many as a prefetch can hold
constexpr size_t most_bytes = size_t{16} << 20;
constexpr milliseconds silence = std::chrono::seconds(2);
constexpr milliseconds return_time = std::chrono::seconds(10);
constexpr milliseconds quiet_start = std::chrono::seconds(1);  // a short walk shows no progress
// A quorum queue takes 32 acknowledgements of a channel at a time; those behind wait in the channel, and are lost when
// it closes before they were passed on. So they are given time.
constexpr size_t breathe_every = 16;
constexpr milliseconds breath{5};
constexpr size_t most_recent = 256;

// The first `most` letters of the queue; the bodies of those that are not asked for are dropped at once. Past the bound
// of bytes it takes no more (`full`): they go back, and come again in another lap.
class Chosen : public amqp::Handler {
 public:
  Chosen(const LetterWalk::Wanted& wanted, uint32_t most) : wanted_(wanted), most_(most) {}
  void on_delivery(amqp::Delivery&& letter) override {
    if (seen == most_ || full) return;  // came after we began: for the next time
    ++seen;
    if (!wanted_(letter)) return;
    full = bytes_ > 0 && bytes_ + letter.body.size() > most_bytes;
    if (full) return;
    bytes_ += letter.body.size() + overhead;
    letters.push_back(std::move(letter));
  }
  amqp::Delivery next() {
    amqp::Delivery letter = std::move(letters.front());
    letters.pop_front();
    bytes_ -= letter.body.size() + overhead;
    return letter;
  }
  std::deque<amqp::Delivery> letters;
  uint32_t seen = 0;
  bool full = false;

 private:
  static constexpr size_t overhead = 2048;  // headers and properties, about
  const LetterWalk::Wanted& wanted_;
  const uint32_t most_;
  size_t bytes_ = 0;
};

// Shows each letter as it comes, and keeps none.
class Onlooker : public amqp::Handler {
 public:
  Onlooker(const LetterFilter& filter, uint32_t most, const LetterWalk::Look& action)
      : filter_(filter), most_(most), action_(action) {}
  void on_delivery(amqp::Delivery&& letter) override {
    if (done()) return;
    ++seen;
    if (!filter_.takes(letter)) return;
    ++taken_;
    enough_ = !action_(letter, seen) || taken_ == filter_.limit();
  }
  bool done() const { return enough_ || seen == most_; }
  uint32_t seen = 0;

 private:
  const LetterFilter& filter_;
  const uint32_t most_;
  const LetterWalk::Look& action_;
  int64_t taken_ = 0;
  bool enough_ = false;
};

}  // namespace

LetterWalk::LetterWalk(const Config& config, const std::string& endpoint, const std::string& verb, bool beside)
    : LetterWalk(config, config.topology.dead_queue(endpoint), "the dead letters of " + endpoint, verb, beside) {}

LetterWalk::LetterWalk(const Config& config, std::string queue, const std::string& what, const std::string& verb,
                       bool beside)
    : reader_(open_broker(config, verb)), queue_(std::move(queue)) {
  auto state = reader_.queue_state(queue_, Deadline::in(answer_time));
  // One that has just closed its connection is still counted for a moment.
  for (const Deadline patience = Deadline::in(silence); state && state->consumers > 0 && !patience.passed();) {
    std::this_thread::sleep_for(milliseconds(50));
    state = reader_.queue_state(queue_, Deadline::in(answer_time));
  }
  if (!state) throw Failure(Remedy::stop, "the queue " + queue_ + " is not there; run muskrat setup");
  somebody_else_ = state->consumers > 0;
  if (somebody_else_ && !beside)
    throw Failure(Remedy::stop, "somebody else is at " + what +
                                    " (another muskrat?); two at once would break their order: try again");
  total_ = state->messages;
}

void LetterWalk::each(const LetterFilter& filter, const Action& action) {
  const uint32_t most = std::min(total_, filter.empty() ? total_ : filtered_prefetch);
  const Wanted taken = [&](const amqp::Delivery& letter) { return filter.takes(letter); };
  walk({taken, filter.limit(), filter.empty() ? unfiltered_prefetch : most, most}, action);
}

void LetterWalk::some(const Wanted& wanted, const Action& action) {
  const uint32_t most = std::min(total_, filtered_prefetch);
  walk({wanted, 0, most, most}, action);
}

void LetterWalk::look(const LetterFilter& filter, const Look& action) {
  const uint32_t most = std::min(total_, filtered_prefetch);
  if (most == 0) return;
  reader_.qos(static_cast<uint16_t>(most), Deadline::in(answer_time));
  reader_.consume(queue_, Deadline::in(answer_time));
  Onlooker onlooker(filter, most, action);
  while (!onlooker.done() && heard(onlooker)) {
    seen_ = onlooker.seen;
    show_progress();
  }
  looked_at_ = onlooker.seen;
  progress_.end();
}

void LetterWalk::walk(Course course, const Action& action) {
  while (course.most > 0 && !limit_reached(course.limit)) {
    const size_t before = taken_out_;
    if (!lap(course, action)) break;
    course.most -= static_cast<uint32_t>(std::min<size_t>(course.most, taken_out_ - before));
    reader_.close_channel(Deadline::in(answer_time));
    reader_.open_channel(Deadline::in(answer_time));
  }
  progress_.end();
}

// True when letters were left for want of room, and another lap is due.
bool LetterWalk::lap(Course& course, const Action& action) {
  reader_.qos(static_cast<uint16_t>(std::min(course.window, course.most)), Deadline::in(answer_time));
  reader_.consume(queue_, Deadline::in(answer_time));
  Chosen chosen(course.wanted, course.most);
  const size_t before = taken_out_;
  uint32_t kept = 0;
  while (!limit_reached(course.limit)) {
    // What the action leaves stays in the window: full of it, nothing more would come.
    if (kept > course.window / 2 && course.window < filtered_prefetch) {
      course.window = std::min(course.window * 8, filtered_prefetch);
      return true;
    }
    if (chosen.letters.empty() && (chosen.full || chosen.seen >= course.most)) break;
    if (chosen.letters.empty() && !heard(chosen)) break;
    if (chosen.letters.empty()) continue;
    const amqp::Delivery letter = chosen.next();
    seen_ = chosen.seen;
    show_progress();
    if (is_gone_already(letter)) {
      reader_.ack(letter.tag, false, Deadline::in(answer_time));  // the first word of it was lost with its channel
    } else if (action(letter)) {
      take_out(letter, chosen);
    } else {
      ++kept;
    }
  }
  looked_at_ = std::max(looked_at_, chosen.seen);
  reader_.pump(chosen, Deadline::in(breath));
  // A lap that frees nothing would be followed by the same one for ever.
  return chosen.full && taken_out_ > before;
}

// Somebody else may hold some of the letters: then fewer come, and silence is the end. Else all of them must come.
bool LetterWalk::heard(amqp::Handler& handler) {
  if (reader_.pump(handler, Deadline::in(somebody_else_ ? silence : answer_time))) return true;
  if (somebody_else_) return false;
  throw Failure(Remedy::stop, "the broker handed over " + std::to_string(seen_) + " of " + std::to_string(total_) +
                                  " messages of the queue " + queue_ + " and then none for 30 s; " +
                                  std::to_string(taken_out_) + " were dealt with, the others stay where they are");
}

bool LetterWalk::limit_reached(int64_t limit) const { return limit > 0 && taken_out_ >= static_cast<size_t>(limit); }

bool LetterWalk::is_gone_already(const amqp::Delivery& letter) const {
  if (letter.message_id.empty() || letter.headers.number(dead::header_at) == 0) return false;
  return std::find(recent_.begin(), recent_.end(), identity_of(letter)) != recent_.end();
}

void LetterWalk::take_out(const amqp::Delivery& letter, amqp::Handler& others) {
  reader_.ack(letter.tag, false, Deadline::in(answer_time));
  recent_.push_back(identity_of(letter));
  if (recent_.size() > most_recent) recent_.pop_front();
  if (++taken_out_ % breathe_every == 0) reader_.pump(others, Deadline::in(breath));
}

void LetterWalk::show_progress() {
  if (std::chrono::steady_clock::now() - began_ < quiet_start) return;
  progress_.show(
      [this] {
        return std::to_string(seen_) + " of " + std::to_string(total_) + " letters looked at, " +
               std::to_string(taken_out_) + " taken out";
      },
      [] { return json::Object(); });
}

// What was passed over goes back, in order. The broker takes a moment over that, in which the queue seems empty:
// whoever looks next must find the letters there.
void LetterWalk::close() {
  if (total_ > taken_out_) {
    reader_.close_channel(Deadline::in(answer_time));
    reader_.open_channel(Deadline::in(answer_time));
    for (const Deadline patience = Deadline::in(somebody_else_ ? silence : return_time); !patience.passed();) {
      const auto state = reader_.queue_state(queue_, Deadline::in(answer_time));
      if (!state || state->consumers > 0 || state->messages + taken_out_ >= total_) break;
      std::this_thread::sleep_for(milliseconds(20));
    }
  }
  reader_.close(Deadline::in(silence));
}

}  // namespace muskrat::cli

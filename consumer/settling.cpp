#include "consumer/settling.hpp"

#include <stdexcept>
#include <string>

#include "common/failure.hpp"

namespace muskrat {

void Settling::taken(uint64_t tag, SteadyTime now) {
  if (tag != first_ + tags_.size())
    throw Failure(Remedy::reconnect, "the broker sent delivery tag " + std::to_string(tag) + " where " +
                                         std::to_string(first_ + tags_.size()) + " was due");
  tags_.push_back({State::open, now});
  ++open_;
}

Settling::Tag& Settling::find(uint64_t tag) {
  if (tag < first_ || tag - first_ >= tags_.size())
    throw std::logic_error("delivery tag " + std::to_string(tag) + " is not in the account");
  return tags_[tag - first_];
}

void Settling::finished(uint64_t tag) {
  State& state = find(tag).state;
  if (state != State::open) throw std::logic_error("delivery tag " + std::to_string(tag) + " was finished twice");
  state = State::finished;
  --open_;
  ++finished_;
}

std::vector<Settling::Ack> Settling::take_acks(bool singles) {
  std::vector<Ack> acks;
  uint64_t last = 0;
  size_t covered = 0;
  for (; !tags_.empty() && tags_.front().state != State::open; tags_.pop_front(), ++first_) {
    if (tags_.front().state != State::finished) continue;
    last = first_;
    ++covered;
  }
  finished_ -= covered;
  if (covered > 0) acks.push_back({last, covered > 1});
  if (!singles) return acks;
  for (size_t i = 0; finished_ > 0 && i < tags_.size(); ++i) {
    if (tags_[i].state != State::finished) continue;
    acks.push_back({first_ + i, false});
    tags_[i].state = State::acknowledged;
    --finished_;
  }
  return acks;
}

std::optional<SteadyTime> Settling::oldest_open() const {
  for (const Tag& tag : tags_)
    if (tag.state == State::open) return tag.taken;
  return std::nullopt;
}

}  // namespace muskrat

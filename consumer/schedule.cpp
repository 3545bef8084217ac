#include "consumer/schedule.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <stdexcept>

namespace muskrat {

namespace {

constexpr const char* barrier_name = "\x01 barrier";

std::string name_of(const Item& item) {
  if (!item.event.key.empty()) return item.event.key;
  return "\x01" + (item.event.message_id.empty() ? std::to_string(item.tag) : item.event.message_id);
}

}  // namespace

Schedule::Schedule(Limits limits) : limits_(limits), lanes_(limits.lanes) {}
Schedule::~Schedule() = default;

void Schedule::add(std::unique_ptr<Item> item, bool barrier) {
  ++in_hand_;
  bytes_ += item->bytes;
  if (barrier || barrier_placed_ || !behind_.empty()) {
    behind_.push_back({std::move(item), barrier});
    pass_barrier();
    return;
  }
  place(std::move(item));
}

void Schedule::place(std::unique_ptr<Item> item) {
  const auto [found, is_new] = keys_.try_emplace(barrier_placed_ ? barrier_name : name_of(*item));
  ScheduledKey& key = found->second;
  item->scheduled = &key;
  const bool late = item->not_before > item->taken_at;
  const size_t bytes = item->bytes;
  key.bytes += bytes;
  key.items.push_back(std::move(item));
  if (!is_new) {
    if (key.state == ScheduledKey::State::waiting) ++held_, held_bytes_ += bytes;
    return;
  }
  key.name = &found->first;
  key.lane = static_cast<unsigned>(std::hash<std::string>{}(found->first) % lanes_.size());
  if (!late) return make_ready(key);
  ++under_way_;
  wait_until(key.items.front(), key.items.front().not_before);
}

void Schedule::make_ready(ScheduledKey& key) {
  Lane& lane = lanes_[key.lane];
  key.state = ScheduledKey::State::ready;
  Item& item = key.items.front();
  if (item.tag > last_) return;
  lane.ready.push_back(&key);
  lane.ready_bytes += item.bytes;
  lane.oldest_ready = std::min(lane.oldest_ready, std::max(item.taken_at, now_));
}

// The barrier goes when nothing is in hand but itself and what stands behind it.
void Schedule::pass_barrier() {
  while (!behind_.empty() && !barrier_placed_) {
    if (behind_.front().barrier && in_hand_ > behind_.size()) return;
    Behind next = std::move(behind_.front());
    behind_.pop_front();
    barrier_placed_ = next.barrier;
    place(std::move(next.item));
  }
}

void Schedule::wake(SteadyTime now) {
  now_ = now;
  while (!timers_.empty() && timers_.begin()->first <= now) {
    ScheduledKey& key = *timers_.begin()->second;
    stop_waiting(key);
    make_ready(key);
  }
}

bool Schedule::is_full(const Lane& lane) const {
  return lane.ready.size() >= limits_.batch_size || lane.ready_bytes >= limits_.batch_bytes;
}

bool Schedule::a_batch_is_full() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [&](const Lane& lane) { return is_full(lane); });
}

std::vector<Item*> Schedule::next_batch(unsigned index, SteadyTime now, bool eager) {
  wake(now);
  Lane& lane = lanes_[index];
  if (lane.ready.empty()) return {};
  if (!is_full(lane) && !eager && now < lane.oldest_ready + limits_.batch_age) return {};
  return cut_batch(lane);
}

std::vector<Item*> Schedule::cut_batch(Lane& lane) {
  std::vector<Item*> batch;
  batch.reserve(std::min(lane.ready.size(), limits_.batch_size));
  size_t bytes = 0;
  while (!lane.ready.empty() && batch.size() < limits_.batch_size) {
    ScheduledKey& key = *lane.ready.front();
    Item& item = key.items.front();
    if (!batch.empty() && bytes + item.bytes > limits_.batch_bytes) break;
    bytes += item.bytes;
    lane.ready.pop_front();
    key.state = ScheduledKey::State::under_way;
    batch.push_back(&item);
  }
  lane.ready_bytes -= bytes;
  under_way_ += batch.size();
  lane.oldest_ready = lane.ready.empty() ? SteadyTime::max() : now_;  // what is left waits for others anew
  return batch;
}

void Schedule::begin_waiting(ScheduledKey& key) {
  --under_way_;
  held_ += key.items.size();
  held_bytes_ += key.bytes;
  key.state = ScheduledKey::State::waiting;
}

void Schedule::stop_waiting(ScheduledKey& key) {
  held_ -= key.items.size();
  held_bytes_ -= key.bytes;
  if (key.timed) timers_.erase(key.timer);
  key.timed = false;
}

void Schedule::settle_head(ScheduledKey& key) {
  if (key.state == ScheduledKey::State::under_way) --under_way_;
  if (key.state == ScheduledKey::State::waiting) stop_waiting(key);
  --in_hand_;
  bytes_ -= key.items.front().bytes;
  key.bytes -= key.items.front().bytes;
  key.items.pop_front();
}

void Schedule::finish(Item& item) {
  ScheduledKey& key = *item.scheduled;
  if (key.state == ScheduledKey::State::ready) throw std::logic_error("an event was settled that was not under way");
  settle_head(key);
  if (!key.items.empty()) return make_ready(key);
  if (*key.name == barrier_name) barrier_placed_ = false;
  keys_.erase(keys_.find(*key.name));
  pass_barrier();
}

void Schedule::wait(Item& item) {
  ScheduledKey& key = *item.scheduled;
  if (key.state == ScheduledKey::State::waiting) return;
  begin_waiting(key);
}

void Schedule::put_back(Item& item) {
  --under_way_;
  make_ready(*item.scheduled);
}

void Schedule::wait_until(Item& item, SteadyTime until) {
  wait(item);
  ScheduledKey& key = *item.scheduled;
  if (key.timed) timers_.erase(key.timer);
  key.timer = timers_.emplace(until, &key);
  key.timed = true;
}

void Schedule::stop_after(uint64_t last) {
  last_ = last;
  for (Lane& lane : lanes_) {
    std::erase_if(lane.ready, [&](const ScheduledKey* key) { return key->items.front().tag > last; });
    lane.ready_bytes = 0;
    for (const ScheduledKey* key : lane.ready) lane.ready_bytes += key->items.front().bytes;
  }
}

size_t Schedule::ready() const {
  return std::accumulate(lanes_.begin(), lanes_.end(), size_t{0},
                         [](size_t sum, const Lane& lane) { return sum + lane.ready.size(); });
}

std::optional<SteadyTime> Schedule::next_due(unsigned index) const {
  std::optional<SteadyTime> due;
  if (!timers_.empty()) due = timers_.begin()->first;
  const Lane& lane = lanes_[index];
  if (lane.ready.empty()) return due;
  const SteadyTime ripe = lane.oldest_ready + limits_.batch_age;
  return due ? std::min(*due, ripe) : ripe;
}

void Schedule::clear() {
  if (under_way_ > 0) throw std::logic_error("events are under way");
  behind_.clear();
  timers_.clear();
  keys_.clear();
  lanes_.assign(limits_.lanes, Lane{});
  barrier_placed_ = false;
  last_ = UINT64_MAX;
  in_hand_ = bytes_ = held_ = held_bytes_ = 0;
}

}  // namespace muskrat

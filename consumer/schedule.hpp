// Who goes next: the events in hand by ordering key, spread over the lanes, formed into batches.
//
// Used by consumer/host.cpp. An ordering key always keeps to one lane; of a key one event is under way at most, the
// next goes when it is settled, and an event that waits (for a retry, or for its dead letter's confirm) holds back the
// later ones of its own key and no others. A barrier (TRUNCATE) goes alone: after all before it, before all after it.
// An event without a key is a key of its own.
// Pure: time is handed in, nothing is sent. Thread rule: one owner; lanes only read the Items of their batch.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/amqp.hpp"
#include "common/clock.hpp"
#include "common/event.hpp"

namespace muskrat {

struct ScheduledKey;

struct Item {
  uint64_t tag = 0;
  Event event;
  amqp::Delivery original;  // as it arrived, less what the event took: for a dead letter
  std::string doom;         // not empty: it is a dead letter for this reason, without asking the endpoint
  std::string trail;        // what was tried, in this life and those before
  unsigned attempts = 0;
  size_t bytes = 0;
  SteadyTime taken_at{};
  SteadyTime not_before{};  // an earlier life's retry is not due before this
  ScheduledKey* scheduled = nullptr;
  std::unique_ptr<Item> behind;  // the next of its key
};

// The events of one key, oldest first: linked through the items themselves, for most keys have one event in hand.
class ItemQueue {
 public:
  ItemQueue() = default;
  ~ItemQueue() {
    while (!empty()) pop_front();  // one by one: a long chain would destroy itself in depth
  }
  ItemQueue(const ItemQueue&) = delete;
  ItemQueue& operator=(const ItemQueue&) = delete;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  Item& front() const { return *first_; }
  void push_back(std::unique_ptr<Item> item) {
    Item* const added = item.get();
    (last_ == nullptr ? first_ : last_->behind) = std::move(item);
    last_ = added;
    ++size_;
  }
  void pop_front() {
    first_ = std::move(first_->behind);
    if (--size_ == 0) last_ = nullptr;
  }

 private:
  std::unique_ptr<Item> first_;
  Item* last_ = nullptr;
  size_t size_ = 0;
};

// One ordering key that has events in hand: the schedule's own bookkeeping.
struct ScheduledKey {
  enum class State { ready, under_way, waiting };
  const std::string* name = nullptr;
  unsigned lane = 0;
  State state = State::ready;
  ItemQueue items;
  size_t bytes = 0;  // of all of them
  std::multimap<SteadyTime, ScheduledKey*>::iterator timer{};
  bool timed = false;
};

class Schedule {
 public:
  struct Limits {
    unsigned lanes = 1;
    size_t batch_size = 1;
    milliseconds batch_age{0};
    size_t batch_bytes = SIZE_MAX;  // a larger event goes alone
  };
  explicit Schedule(Limits limits);
  ~Schedule();

  void add(std::unique_ptr<Item> item, bool barrier);

  // The next batch of an idle lane; empty while it should wait for more, up to batch_age from when its first event
  // could go, or was left over by the batch before. `eager`: no more will come, do not wait.
  std::vector<Item*> next_batch(unsigned lane, SteadyTime now, bool eager);
  // The event is settled for good. Destroys the item.
  void finish(Item& item);
  // It was not its turn: it is as if it had not been handed out.
  void put_back(Item& item);
  // It goes again at `until`.
  void wait_until(Item& item, SteadyTime until);
  // It waits for a call of finish() or wait_until().
  void wait(Item& item);

  // From now on Limits::batch_age is this.
  void gather_for(milliseconds age) { limits_.batch_age = age; }
  // From now on nothing goes whose tag is above `last`: the way to an end without gaps. clear() lifts it.
  void stop_after(uint64_t last);

  // When next_batch() of an idle lane may have something that it has not now; nullopt: only after another call.
  std::optional<SteadyTime> next_due(unsigned lane) const;

  size_t in_hand() const { return in_hand_; }
  size_t bytes() const { return bytes_; }
  size_t under_way() const { return under_way_; }
  bool a_batch_is_full() const;          // in some lane
  size_t ready() const;                  // keys whose next event may go
  size_t held() const { return held_; }  // waiting ones and those behind them
  size_t held_bytes() const { return held_bytes_; }
  void clear();  // the channel is gone; nothing may be under way

 private:
  struct Lane {
    std::deque<ScheduledKey*> ready;
    size_t ready_bytes = 0;  // of their next events
    SteadyTime oldest_ready = SteadyTime::max();
  };
  struct Behind {
    std::unique_ptr<Item> item;
    bool barrier;
  };
  bool is_full(const Lane& lane) const;
  void place(std::unique_ptr<Item> item);
  void make_ready(ScheduledKey& key);
  void wake(SteadyTime now);
  void settle_head(ScheduledKey& key);
  void begin_waiting(ScheduledKey& key);
  void stop_waiting(ScheduledKey& key);
  void pass_barrier();
  std::vector<Item*> cut_batch(Lane& lane);

  Limits limits_;
  std::unordered_map<std::string, ScheduledKey> keys_;
  std::vector<Lane> lanes_;
  std::multimap<SteadyTime, ScheduledKey*> timers_;
  std::deque<Behind> behind_;  // everything from the first barrier on that is not yet due
  bool barrier_placed_ = false;
  SteadyTime now_{};  // as it was handed in last
  uint64_t last_ = UINT64_MAX;
  size_t in_hand_ = 0, bytes_ = 0, under_way_ = 0, held_ = 0, held_bytes_ = 0;
};

}  // namespace muskrat

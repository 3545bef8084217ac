// The accounting of events between their read and their settling.
//
// Events come in read by read, in the order of the read; each leaves as confirmed
// or held, in any order, since the broker's acks are not in tag order. The window
// knows at every moment what may be sent next and up to where everything is settled,
// which is where the cursor may stand.
//
// - At most one unconfirmed event per ordering key; later ones of that key wait
//   behind it, those of other keys overtake.
// - Nacked: the same event again after a backoff, its key waiting; past the tries held.
// - Returned (the return comes before its own ack): held; but an event for one endpoint
//   alone, whose queue is not there, is told as `astray` and sent once more, to where
//   events go that nobody subscribes to.
// - Connection lost: what was in flight is sent again, in order.
// - Bounded in events and bytes, counting everything from the first unsettled event
//   on, so that a crash repeats no more than one window.
//
// Used by the sources through Publisher, which owns the broker's connection. Held
// keeps what the broker would not take. Pure: no sockets, no clocks, no SQL.
// Thread rule: one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/event.hpp"
#include "relay/held.hpp"

namespace muskrat {

// An event on its way, and where its row lies in the source's own notation, so that it can be fetched again.
struct Outgoing {
  Event event;
  uint64_t place = 0;
  bool astray = false;  // for one endpoint, whose queue is not there: to go to the unrouted
};

class Window {
 public:
  struct Limits {
    size_t events = 1000;
    int64_t bytes = 8 << 20;
    int nack_tries = 8;
    milliseconds nack_first{100}, nack_most{5000};
  };
  // Everything read before `read` and everything of `read` up to `id` is settled; `closed`: all of `read` is.
  struct Position {
    uint64_t read = 0;
    int64_t id = 0;
    bool closed = false;
    bool operator==(const Position&) const = default;
  };
  // What became of an event since the last take_fates(), for metrics and logs.
  struct Fate {
    enum class Kind { confirmed, nacked, returned, held, released, astray };
    Kind kind;
    int64_t id, captured_us;
    std::string routing_key, why;  // of held, returned and astray ones
  };

  Window(Limits limits, Held& held) : limits_(limits), held_(held) {}

  // ---- filling ----
  size_t room() const { return items_.size() >= limits_.events ? 0 : limits_.events - items_.size(); }
  int64_t room_bytes() const { return limits_.bytes - bytes_; }
  bool empty() const { return items_.empty(); }
  void add(uint64_t read, Outgoing&& out, SteadyTime now);
  // Nothing more comes of this read.
  void close_read(uint64_t read);
  // A held event, for one try; it is no part of any position. It is sent with nothing else in flight: it may be one
  // over which the broker closes the channel.
  void add_retry(Outgoing&& out);
  // Some are here.
  bool has_retries() const { return !retries_.empty(); }

  // ---- sending ----
  // The oldest event that may be sent now, or null. It stays the next one until sent() or refuse().
  const Outgoing* next(SteadyTime now);
  void sent(uint64_t tag);
  void refuse(const std::string& why, SteadyTime now);  // held without being sent
  // When next() may have something that it has not now.
  std::optional<SteadyTime> next_due() const;

  // ---- what the broker says ----
  void confirm(uint64_t tag, bool multiple, bool acked, SteadyTime now);
  void returned(const std::string& message_id, const std::string& why);
  void connection_lost(SteadyTime now);
  // The broker closed the channel over something we sent. What was in flight is sent again one at a time; an event
  // that does it alone is held.
  void channel_failed(const std::string& why, SteadyTime now);

  // Holds what is backing off after a nack: for a stop, which must leave no hole behind the confirmed.
  void hold_backing_off(SteadyTime now);

  // ---- looking ----
  Position position() const { return position_; }
  size_t in_flight() const { return in_flight_; }
  // The tag of the event that has been in flight longest.
  std::optional<uint64_t> oldest_tag() const { return sent_.empty() ? std::nullopt : std::optional(sent_.front().tag); }
  size_t waiting() const { return unsettled_ - in_flight_items_; }
  int64_t bytes() const { return bytes_; }
  bool sending_alone() const { return alone_ > 0; }
  // Capture time of the oldest unsettled event; 0 when there is none.
  int64_t oldest_captured_us() const;
  std::vector<Fate> take_fates() { return std::exchange(fates_, {}); }

 private:
  using Slot = uint64_t;
  enum class State { waiting, ready, backing_off, in_flight, settled };
  static constexpr Slot none = UINT64_MAX;
  struct Item {
    Item() = default;
    Item(uint64_t number, Outgoing&& event) : out(std::move(event)), read(number), id(out.event.seq) {}

    Outgoing out;
    Slot behind = none;  // the next one of its key
    uint64_t read = 0;
    int64_t id = 0;
    State state = State::waiting;
    bool mark = false;  // the end of a read
    bool returned = false;
    int tries = 0;
    SteadyTime due{};
    std::string why;
  };
  // Those of a busy key that wait behind the one that is under way; each knows the next (Item::behind).
  struct Line {
    Slot first = none, last = none;
  };
  struct Sent {
    uint64_t tag;
    Slot slot;
    bool answered = false;
  };
  struct Delayed {
    SteadyTime due;
    Slot slot;
    bool operator>(const Delayed& other) const { return due > other.due; }
  };
  template <typename T>
  using Heap = std::priority_queue<T, std::vector<T>, std::greater<T>>;

  Slot next_slot() const;
  Slot take_next();
  bool retrying() const { return !sent_.empty() && is_retry(sent_.front().slot); }
  Item& item(Slot slot) { return is_retry(slot) ? retries_.at(slot) : items_[slot - base_]; }
  static bool is_retry(Slot slot) { return slot >= first_retry; }
  static int64_t size_of(const Outgoing& out);
  Slot slot_of(Sent& sent);
  void forget_answered();
  void admit(Slot slot, SteadyTime now);
  Line* line_of_busy(const std::string& key);
  void wait_behind(Line& line, Slot slot);
  void admit_parked(SteadyTime now);
  void make_ready(Slot slot);
  void settle_tag(Slot slot, bool acked, SteadyTime now);
  void confirmed(Slot slot, SteadyTime now);
  void send_astray(Slot slot);
  void nacked(Slot slot, SteadyTime now);
  void retry_over(Slot slot, bool confirmed, const std::string& why, SteadyTime now);
  void hold(Slot slot, const std::string& why, SteadyTime now);
  void hold_followers(const std::string& key, SteadyTime now);
  void back_off(Slot slot, milliseconds span, SteadyTime now);
  void put_into_held(Item& item, const std::string& why, SteadyTime now);
  void settle(Item& item);
  void free_key(const std::string& key);
  void advance();
  bool revive_due(SteadyTime now);

  static constexpr Slot first_retry = Slot{1} << 62;

  Limits limits_;
  Held& held_;
  std::deque<Item> items_;  // from the first unsettled on; slot = base_ + index
  Slot base_ = 0;
  std::map<Slot, Item> retries_;
  Slot next_retry_ = first_retry;
  std::unordered_map<std::string, Line> keys_;  // busy ones
  std::set<Slot> parked_;                       // of held keys, while the held list is full; oldest first
  Heap<Slot> ready_, ready_retries_;
  Heap<Delayed> delayed_;
  std::deque<Sent> sent_;  // in order of tags, from the first unanswered on
  size_t in_flight_ = 0;   // of them unanswered
  Position position_;
  int64_t bytes_ = 0;
  size_t unsettled_ = 0, in_flight_items_ = 0;
  size_t alone_ = 0;  // so many more settlements with one event in flight at a time
  std::vector<Fate> fates_;
};

}  // namespace muskrat

// The events that the broker would not take, and so the ordering keys that wait.
//
// An event that is returned, nacked past its tries or too large is *held*: the
// cursor moves past it, its id stays in the cursor row, and the later events of its
// ordering key join it, in order, so that nothing overtakes it. Each is tried again
// now and then, since topologies get repaired; what is confirmed leaves the list.
//
// Used by Window (which adds and asks) and by the source (which saves the ids with
// its cursor and fetches the rows that are due). Pure: time comes in as an argument.
// Thread rule: one owner. It does not keep bodies: a place says where the row lies, and `bytes` what it costs to read
// it.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.hpp"

namespace muskrat {

class Held {
 public:
  struct Item {
    int64_t id = 0;
    std::string key, routing_key, why;
    uint64_t place = 0;  // the source's own notation
    int64_t bytes = 0;   // of its body
    SteadyTime next_try{};
    bool trying = false;
  };

  // What is taken for a try at a time: so many events of so many bytes together (one is taken however large it is),
  // with ids up to `up_to`. Bodies larger than `largest` are not to be read and count for nothing.
  struct Portion {
    size_t events;
    int64_t bytes = INT64_MAX, largest = INT64_MAX, up_to = INT64_MAX;
  };

  Held(size_t most, milliseconds retry) : most_(most), retry_(retry) {}

  size_t size() const { return items_.size(); }
  bool full() const { return items_.size() >= most_; }
  bool has(int64_t id) const { return by_id_.contains(id); }
  bool holds_key(const std::string& key) const { return !key.empty() && keys_.contains(key); }

  // In its key's line, which is in order of id: an event that is read again after a restart comes before one of its key
  // that was held already. First tried again after the retry interval, or when the one whose place it takes would be.
  void add(Item item, SteadyTime now);
  // Confirmed after all: the next one of its key is due at once.
  void release(int64_t id, SteadyTime now);
  void try_failed(int64_t id, const std::string& why, SteadyTime now);
  // Its row lies elsewhere now.
  void moved(int64_t id, uint64_t place);

  // Ids in the order in which they are to be tried: what the cursor row keeps.
  std::vector<int64_t> ids() const;
  // The first of each key (each one without a key) whose time has come, marked as being tried.
  std::vector<Item> take_due(SteadyTime now, const Portion& portion);
  bool due(SteadyTime now, int64_t up_to = INT64_MAX) const;
  // Rises with every change of ids().
  uint64_t version() const { return version_; }
  // Items in order, for status.
  const std::list<Item>& items() const { return items_; }

 private:
  Item* first_of(const std::string& key);
  std::list<Item>::iterator place_for(const Item& item);

  size_t most_;
  milliseconds retry_;
  uint64_t version_ = 0;
  std::list<Item> items_;
  std::unordered_map<int64_t, std::list<Item>::iterator> by_id_;
  std::unordered_map<std::string, size_t> keys_;
};

}  // namespace muskrat

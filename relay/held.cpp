#include "relay/held.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace muskrat {

void Held::add(Item item, SteadyTime now) {
  if (has(item.id)) return;
  item.next_try = now + retry_;
  item.trying = false;
  auto place = place_for(item);
  if (place != items_.end()) item.next_try = std::min(item.next_try, place->next_try);
  if (!item.key.empty()) keys_[item.key]++;
  int64_t id = item.id;
  by_id_[id] = items_.insert(place, std::move(item));
  version_++;
}

// Before the first of its key that is younger; nobody overtakes one that is being tried.
std::list<Held::Item>::iterator Held::place_for(const Item& item) {
  if (!holds_key(item.key)) return items_.end();
  return std::find_if(items_.begin(), items_.end(),
                      [&](const Item& i) { return i.key == item.key && i.id > item.id && !i.trying; });
}

void Held::release(int64_t id, SteadyTime now) {
  auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  std::string key = std::move(found->second->key);
  items_.erase(found->second);
  by_id_.erase(found);
  version_++;
  if (key.empty()) return;
  if (--keys_[key] == 0) {
    keys_.erase(key);
  } else {
    first_of(key)->next_try = now;
  }
}

void Held::try_failed(int64_t id, const std::string& why, SteadyTime now) {
  auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  found->second->trying = false;
  found->second->next_try = now + retry_;
  found->second->why = why;
}

void Held::moved(int64_t id, uint64_t place) {
  auto found = by_id_.find(id);
  if (found != by_id_.end()) found->second->place = place;
}

Held::Item* Held::first_of(const std::string& key) {
  auto found = std::find_if(items_.begin(), items_.end(), [&](const Item& i) { return i.key == key; });
  return found == items_.end() ? nullptr : &*found;
}

std::vector<int64_t> Held::ids() const {
  std::vector<int64_t> ids;
  ids.reserve(items_.size());
  for (const Item& item : items_) ids.push_back(item.id);
  return ids;
}

std::vector<Held::Item> Held::take_due(SteadyTime now, const Portion& portion) {
  std::vector<Item> due;
  int64_t bytes = 0;
  std::unordered_set<std::string> seen;
  for (Item& item : items_) {
    bool head = item.key.empty() || seen.insert(item.key).second;
    if (!head || item.trying || item.next_try > now || item.id > portion.up_to) continue;
    const int64_t cost = item.bytes > portion.largest ? 0 : item.bytes;
    if (bytes > 0 && bytes + cost > portion.bytes) break;
    bytes += cost;
    item.trying = true;
    due.push_back(item);
    if (due.size() >= portion.events) break;
  }
  return due;
}

bool Held::due(SteadyTime now, int64_t up_to) const {
  std::unordered_set<std::string> seen;
  return std::any_of(items_.begin(), items_.end(), [&](const Item& item) {
    bool head = item.key.empty() || seen.insert(item.key).second;
    return head && !item.trying && item.next_try <= now && item.id <= up_to;
  });
}

}  // namespace muskrat

#include "relay/id_gaps.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace muskrat {

bool IdGaps::seen(int64_t id, SteadyTime now) {
  if (id > highest_) {
    if (id > highest_ + 1) add({highest_ + 1, id - 1}, now);
    highest_ = id;
    return true;
  }
  auto after = gaps_.upper_bound(id);
  if (after == gaps_.begin()) return false;
  auto [first, gap] = *std::prev(after);
  if (id > gap.last) return false;
  gaps_.erase(first);
  if (first < id) gaps_[first] = {id - 1, gap.since};
  if (id < gap.last) gaps_[id + 1] = gap;
  changes_++;
  return true;
}

// Behind all others.
void IdGaps::add(const Range& gap, SteadyTime now) {
  if (gaps_.size() >= most_gaps_) join();
  gaps_[gap.first] = {gap.last, now};
  changes_++;
  if (ranges_.size() < most_ranges_) {
    ranges_.push_back(gap);
  } else {
    ranges_.back().last = gap.last;
  }
}

// Every two become one. What lies between them was read, and is deleted soon.
void IdGaps::join() {
  for (auto at = gaps_.begin(); at != gaps_.end() && std::next(at) != gaps_.end(); ++at) {
    const auto next = std::next(at);
    at->second = {next->second.last, std::max(at->second.since, next->second.since)};
    gaps_.erase(next);
  }
}

// Many gaps are looked through once in as many changes. Meanwhile the ranges cover what has gone, too.
const std::vector<IdGaps::Range>& IdGaps::ranges() {
  if (changes_ > 0 && (exact() || changes_ >= gaps_.size())) cover();
  return ranges_;
}

void IdGaps::cover() {
  std::pair<int64_t, int64_t> apart{};  // distance to the one before, first id: from this on they are not joined
  if (!exact()) {
    std::vector<std::pair<int64_t, int64_t>> distances;
    distances.reserve(gaps_.size());
    int64_t last = 0;
    for (const auto& [first, gap] : gaps_) distances.emplace_back(first - std::exchange(last, gap.last), first);
    const auto begin = distances.begin() + 1, least = begin + static_cast<std::ptrdiff_t>(most_ranges_ - 2);
    std::nth_element(begin, least, distances.end(), std::greater<>());
    apart = *least;
  }
  ranges_.clear();
  changes_ = 0;
  int64_t last = 0;
  for (const auto& [first, gap] : gaps_) {
    if (ranges_.empty() || std::pair(first - last, first) >= apart) {
      ranges_.push_back({first, gap.last});
    } else {
      ranges_.back().last = gap.last;
    }
    last = gap.last;
  }
}

std::vector<IdGaps::Range> IdGaps::old(SteadyTime before, size_t most, int64_t from) const {
  std::vector<Range> ranges;
  for (auto at = gaps_.lower_bound(from); at != gaps_.end() && ranges.size() < most; ++at)
    if (at->second.since <= before) ranges.push_back({at->first, at->second.last});
  return ranges;
}

void IdGaps::forget(const Range& range) {
  auto found = gaps_.find(range.first);
  if (found == gaps_.end() || found->second.last != range.last) return;
  gaps_.erase(found);
  changes_++;
}

size_t IdGaps::forget_empty(std::span<const Range> ranges, const NothingIn& nothing_in, size_t at_once,
                            size_t most_asked) {
  size_t at = 0, size = at_once;
  size_t suspect = 0;  // there is something between `at` and this
  for (size_t asked = 0; asked < most_asked && at < ranges.size(); asked++) {
    const auto some = ranges.subspan(at, std::min(size, ranges.size() - at));
    if (nothing_in(some)) {
      for (const Range& range : some) forget(range);
      at += some.size();
    } else if (some.size() == 1) {
      at++;
    } else {
      suspect = at + some.size();
    }
    size = at < suspect ? (suspect - at + 1) / 2 : at_once;
  }
  return at;
}

}  // namespace muskrat

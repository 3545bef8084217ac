#include "relay/id_gaps.hpp"

#include <iterator>

namespace muskrat {

void IdGaps::seen(int64_t id, SteadyTime now) {
  if (id > highest_) {
    if (id > highest_ + 1) gaps_[highest_ + 1] = {id - 1, now};
    highest_ = id;
    return;
  }
  auto after = gaps_.upper_bound(id);
  if (after == gaps_.begin()) return;
  auto [first, gap] = *std::prev(after);
  if (id > gap.last) return;
  gaps_.erase(first);
  if (first < id) gaps_[first] = {id - 1, gap.since};
  if (id < gap.last) gaps_[id + 1] = gap;
}

std::vector<IdGaps::Range> IdGaps::ranges(size_t most) const {
  std::vector<Range> ranges;
  if (gaps_.empty() || most == 0) return ranges;
  // Joined in runs of equal length: which ones matters little, what lies between them was read and is soon deleted.
  size_t run = (gaps_.size() + most - 1) / most, in_run = 0;
  for (const auto& [first, gap] : gaps_) {
    if (in_run++ % run == 0) {
      ranges.push_back({first, gap.last});
    } else {
      ranges.back().last = gap.last;
    }
  }
  return ranges;
}

std::vector<IdGaps::Range> IdGaps::old(SteadyTime before, size_t most, int64_t from) const {
  std::vector<Range> ranges;
  for (auto at = gaps_.lower_bound(from); at != gaps_.end() && ranges.size() < most; ++at)
    if (at->second.since <= before) ranges.push_back({at->first, at->second.last});
  return ranges;
}

void IdGaps::forget(const Range& range) {
  auto found = gaps_.find(range.first);
  if (found != gaps_.end() && found->second.last == range.last) gaps_.erase(found);
}

}  // namespace muskrat

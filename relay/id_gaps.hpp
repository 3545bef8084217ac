// Ids that were passed over and may still come: an AUTO_INCREMENT id is drawn when a
// row is written and shows when its transaction commits, maybe long after higher ones.
//
// Used by the mysql source's reader, which asks for what lies in the gaps and beyond
// the highest id in one statement, so that one snapshot holds both: of one ordering
// key no event is seen before an earlier one. A gap whose transactions are over for
// certain is forgotten. Where ids rise in steps of more than one each event leaves a
// gap: what is done for one event does not grow with their number, and beyond a
// bound neighbours become one wider gap. Pure: time comes in. Thread rule: one owner.
// See docs/adr/0071.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "common/clock.hpp"

namespace muskrat {

class IdGaps {
 public:
  struct Range {
    int64_t first, last;
    bool operator==(const Range&) const = default;
  };
  // Nothing can come in any of them any more.
  using NothingIn = std::function<bool(std::span<const Range>)>;

  // At most so many ranges to ask for (two at least), and gaps to remember.
  explicit IdGaps(size_t most_ranges = 50, size_t most_gaps = 100'000)
      : most_ranges_(most_ranges), most_gaps_(most_gaps) {}

  // A row with this id was read. False: nobody waited for it any more.
  bool seen(int64_t id, SteadyTime now);
  int64_t highest() const { return highest_; }
  size_t count() const { return gaps_.size(); }
  // Ranges that cover all gaps, in order. Where the gaps are more, those that lie close together are joined.
  const std::vector<Range>& ranges();
  // Those are the gaps themselves.
  bool exact() const { return gaps_.size() <= most_ranges_; }
  // Gaps that were passed over before `before`, oldest ids first, at most `most`, those from `from` on.
  std::vector<Range> old(SteadyTime before, size_t most, int64_t from = 0) const;
  // Nothing will come there any more.
  void forget(const Range& range);
  // Forgets those of `ranges` in which there is nothing, asking at most `most_asked` times: for `at_once` together, and
  // where there is something for halves. Returns how many of them it came to, from the first on.
  size_t forget_empty(std::span<const Range> ranges, const NothingIn& nothing_in, size_t at_once, size_t most_asked);

 private:
  struct Gap {
    int64_t last;
    SteadyTime since;
  };
  void add(const Range& gap, SteadyTime now);
  void cover();
  void join();

  const size_t most_ranges_, most_gaps_;
  std::map<int64_t, Gap> gaps_;  // by first id; they never touch
  int64_t highest_ = 0;
  std::vector<Range> ranges_;  // cover all gaps at any time
  size_t changes_ = 0;         // of gaps_, since ranges_ was made
};

}  // namespace muskrat

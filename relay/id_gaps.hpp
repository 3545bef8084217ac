// Ids that were passed over and may still come: an AUTO_INCREMENT id is drawn when a
// row is written and shows when its transaction commits, maybe long after higher ones.
//
// Used by the mysql source's reader, which asks for what lies in the gaps and beyond
// the highest id in one statement, so that one snapshot holds both: of one ordering
// key no event is seen before an earlier one. A gap whose transactions are over for
// certain is forgotten. Pure: time comes in. Thread rule: one owner. See docs/adr/0071.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "common/clock.hpp"

namespace muskrat {

class IdGaps {
 public:
  struct Range {
    int64_t first, last;
    bool operator==(const Range&) const = default;
  };

  // A row with this id was read.
  void seen(int64_t id, SteadyTime now);
  int64_t highest() const { return highest_; }
  size_t count() const { return gaps_.size(); }
  // At most `most` ranges that cover all gaps, in order; neighbours are joined where there are more.
  std::vector<Range> ranges(size_t most) const;
  // Gaps that were passed over before `before`, oldest ids first, at most `most`, those from `from` on.
  std::vector<Range> old(SteadyTime before, size_t most, int64_t from = 0) const;
  // Nothing will come there any more.
  void forget(const Range& range);

 private:
  struct Gap {
    int64_t last;
    SteadyTime since;
  };
  std::map<int64_t, Gap> gaps_;  // by first id; they never touch
  int64_t highest_ = 0;
};

}  // namespace muskrat

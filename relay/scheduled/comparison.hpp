// What one run finds when it compares all rows with those that are known: new, changed, as they were, gone.
//
// Used by Run and by the readers of kinds that compare. It keeps a bit for each row of the source and, of those that
// are new, the key until they are settled: some megabytes for ten millions of rows. What it finds it writes nowhere; a
// run that is cut short has missed no row: what is gone may only be asked for when every row has been seen. What such a
// run was about to tell stands in doubt: the next one tells of that row again, also where it is as it had been before.
// Neighbours: KnownRows. Thread rule: one owner.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "relay/scheduled/known_rows.hpp"

namespace muskrat {

class Comparison {
 public:
  struct Setting {
    std::string generation;  // the cursor before this run: tells the lives of a row apart
    int64_t epoch = 0;
    bool baseline = false;  // the rows are to be known, and nobody is told
    // The columns that the row of a deletion does not have, since only its key is known.
    std::vector<std::string> beside_key;
  };
  struct Sight {
    bool told = true;     // whether an event is to be made of it
    bool fresh = false;   // not known before
    std::string version;  // two events of one row differ in it, also where the row came back to what it was
    KnownRow row;         // to be remembered; its `seq` is still that of before
  };
  struct Gone {
    std::vector<KnownRow> rows;  // those of the stretch that were not seen
    size_t looked_at = 0;        // 0: there are no more
    std::string last;            // where the next stretch begins
  };

  // `known` may be null in a dry run of a source that has never run.
  Comparison(KnownRows* known, Setting setting);

  // nullopt: as it was. Failure when this run has seen a row of the same key.
  std::optional<Sight> see(const std::string& key, const std::string& digest);
  // What to write before the event of that row (or deletion) is sent; its `seq` is the event's. Until it is settled
  // nobody knows whether the broker has the event.
  static KnownRow in_doubt(KnownRow row, const std::string& version);
  // These are in the table now.
  void settled(const std::vector<KnownRow>& rows);
  // Looks at the next `most` known rows behind that key.
  Gone gone_behind(const std::string& key, size_t most) const;
  std::string version_of_deletion(const KnownRow& row) const;
  const Setting& setting() const { return setting_; }

 private:
  // Of whole numbers, in blocks: old numbers leave holes.
  class Slots {
   public:
    bool add(int64_t slot);  // false when it is there
    bool has(int64_t slot) const;

   private:
    static constexpr int64_t block = 4096;
    std::unordered_map<int64_t, std::bitset<block>> blocks_;
  };
  std::string version_after(const KnownRow& row) const;

  KnownRows* known_;
  Setting setting_;
  Slots seen_;
  std::unordered_set<std::string> underway_;  // new rows that are not in the table yet
  int64_t next_slot_;
};

}  // namespace muskrat

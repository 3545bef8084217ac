// The rows that a source which compares knows: key and hash of the content of each, as the broker was told of it last.
//
// Used by ScheduledState, whose file it is in, and by Comparison. Ordered by key, so that what a database reads in the
// order of its primary key is looked up in few pages; nothing is written for a row that is as it was.
// Thread rule: that of the state. What it does not do: transactions; those are the state's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/sqlite.hpp"

namespace muskrat {

struct KnownRow {
  std::string key;     // the canonical JSON array of its key; what a deletion is told with
  int64_t slot = 0;    // its number among the rows of the source, for sets of rows
  std::string digest;  // of its content; or what the last run was about to tell, see Comparison::in_doubt()
  // Number of the event that told of it last; or one of these.
  int64_t seq = 0;
  static constexpr int64_t known_before = 0;  // taken for known to all, by a baseline
  static constexpr int64_t left_out = -1;     // by the mapping: nobody was told
};

class KnownRows {
 public:
  static constexpr const char* table =
      "CREATE TABLE IF NOT EXISTS known (source TEXT NOT NULL, key TEXT NOT NULL, slot INTEGER NOT NULL, digest TEXT "
      "NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (source, key)) WITHOUT ROWID;";

  // The table must be there, and the database outlive this.
  KnownRows(sqlite::Database& db, const std::string& source);

  std::optional<KnownRow> find(const std::string& key);
  // The first of them behind that key, in order of key.
  std::vector<KnownRow> behind(const std::string& key, size_t most);
  int64_t top_slot();  // 0 when there is none
  void put(const KnownRow& row);
  void remove(const std::string& key);

 private:
  std::string source_;
  sqlite::Statement find_, behind_, top_, put_, remove_;
};

}  // namespace muskrat

// The records of which no event can be made yet: kept whole, with their numbers, until one can be made of them.
//
// Used by ScheduledState, whose file it is in, by Run, and by `muskrat held` and `muskrat forget`. A record that is
// held has the number (seq) that its event would have had: when that is sent after all, whoever has newer state of the
// row passes it over, as with a dead letter that is sent again. A record of the same content is held once. Thread rule:
// that of the state. What it does not do: transactions; those are the state's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/sqlite.hpp"
#include "relay/scheduled/record.hpp"

namespace muskrat {

struct HeldRecord {
  int64_t seq = 0;
  Record record;
  int64_t captured_us = 0;
  int64_t held_us = 0;  // since when
  std::string key;      // its ordering key; "" where not even that can be made of it
  std::string why;      // names the rule, and no value
};

class HeldRecords {
 public:
  static constexpr const char* table =
      "CREATE TABLE IF NOT EXISTS held (source TEXT NOT NULL, seq INTEGER NOT NULL, digest TEXT NOT NULL, body TEXT "
      "NOT NULL, version TEXT NOT NULL, op TEXT NOT NULL, captured_us INTEGER NOT NULL, held_us INTEGER NOT NULL, key "
      "TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (source, seq), UNIQUE (source, digest)) WITHOUT ROWID;";

  // The table must be there, and the database outlive this.
  HeldRecords(sqlite::Database& db, const std::string& source);

  int64_t count();
  int64_t count_of(const std::string& key);
  bool has(const Record& record);
  // The first of them behind that number, in order: some, and not more than some megabytes; none when there are no
  // more.
  std::vector<HeldRecord> behind(int64_t seq);
  void add(const HeldRecord& record);
  void set_why(int64_t seq, const std::string& why);
  // How many went: 0 or 1.
  int64_t remove(int64_t seq);
  int64_t remove_of(const std::string& key);

 private:
  int64_t number(sqlite::Statement& statement);

  sqlite::Database& db_;
  std::string source_;
};

}  // namespace muskrat

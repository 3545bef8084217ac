// The numbers of notifications: by when they were made, not by when they came.
//
// Used by ScheduledState for WebhookPublisher. Who sends notifications sends again what was not taken, an hour later,
// when a newer one of the same record may have been taken; numbered as they come, the older one would win wherever the
// newest state is kept. A number is the second in which the notification was made, in microseconds since 1970, and its
// place among those of that second, in the order in which they came first. What comes again has the number that it had,
// for as long as notifications are taken. Thread rule: that of the state. What it does not do: transactions; those are
// the state's.
#pragma once

#include <cstdint>
#include <string>

#include "common/sqlite.hpp"

namespace muskrat {

class NoticeNumbers {
 public:
  static constexpr const char* table =
      "CREATE TABLE IF NOT EXISTS notice (source TEXT NOT NULL, message_id TEXT NOT NULL, seq INTEGER NOT NULL, "
      "PRIMARY KEY (source, message_id)) WITHOUT ROWID; CREATE UNIQUE INDEX IF NOT EXISTS notice_seq ON notice "
      "(source, seq);";

  // The table must be there, and the database outlive this.
  NoticeNumbers(sqlite::Database& db, const std::string& source);

  int64_t number(const std::string& message_id, int64_t made_us);
  void forget_before(int64_t made_us);

 private:
  std::string source_;
  sqlite::Statement find_, top_, add_, forget_;
};

}  // namespace muskrat

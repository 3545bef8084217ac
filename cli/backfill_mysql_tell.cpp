#include "cli/backfill_mysql_tell.hpp"

#include "cli/backfill_mysql_order.hpp"

namespace muskrat::cli {
namespace {

constexpr milliseconds chunk_time = std::chrono::minutes(5);
// Bodies up to this size travel here and back, so many at a time; larger ones stay in the server, and go one by one.
constexpr size_t small_body = 16 << 10, rows_together = 1000;
// Of one INSERT: far below what any server takes (max_allowed_packet).
constexpr size_t bytes_together = 128 << 10;

class Teller {
 public:
  Teller(mysql::Connection& db, const BackfillSql& sql, const BackfillSql::Part& part, ToldRows& told)
      : db_(db), sql_(sql), part_(part), told_(told) {}

  void tell(const std::set<RowKey>& keys) {
    const size_t width = sql_.key.size();
    const auto column = [&](size_t beyond) { return static_cast<int>(width + beyond); };
    const mysql::Result events = db_.exec(sql_.events(part_, keys, small_body), Deadline::in(chunk_time));
    for (int i = 0; i < events.rows(); ++i) {
      if (events.null(i, column(1))) {
        send();
        tell_large(key_of(events, i, width));
        continue;
      }
      const auto text = [&](size_t beyond) { return db_.quote_literal(events.text(i, column(beyond))); };
      waiting_ += (waiting_.empty() ? "" : ", ") + BackfillSql::told(part_, text(0), text(1), text(2));
      if (waiting_.size() > bytes_together) send();
    }
    send();
  }

 private:
  void send() {
    if (waiting_.empty()) return;
    note(db_.exec(BackfillSql::tell + waiting_, Deadline::in(chunk_time)));
    waiting_.clear();
  }

  void tell_large(const RowKey& key) {
    // Not found, it would leave the event of another row in the variables.
    if (db_.exec(sql_.make(part_, key), Deadline::in(chunk_time)).affected() != 1)
      throw Failure(Remedy::stop, "a row of " + sql_.table.quoted() + " that is locked is not found by its key");
    note(db_.exec(BackfillSql::tell_made(part_), Deadline::in(chunk_time)));
  }

  void note(const mysql::Result& done) {
    if (told_.events == 0) told_.first_id = done.insert_id();
    told_.events += done.affected();
  }

  mysql::Connection& db_;
  const BackfillSql& sql_;
  const BackfillSql::Part& part_;
  ToldRows& told_;
  std::string waiting_;
};

}  // namespace

ToldRows tell_rows(mysql::Connection& db, const BackfillSql& sql, const std::set<RowKey>& locked) {
  ToldRows told;
  for (const BackfillSql::Part& part : sql.parts) {
    Teller teller(db, sql, part, told);
    std::set<RowKey> some;
    for (const RowKey& key : locked) {
      some.insert(some.end(), key);
      if (some.size() < rows_together && key != *locked.rbegin()) continue;
      teller.tell(some);
      some.clear();
    }
  }
  return told;
}

}  // namespace muskrat::cli

#include "relay/scheduled/held_records.hpp"

namespace muskrat {
namespace {

constexpr int64_t most_at_once = 100;
constexpr size_t bytes_at_once = size_t{4} << 20;

}  // namespace

HeldRecords::HeldRecords(sqlite::Database& db, const std::string& source) : db_(db), source_(source) {}

int64_t HeldRecords::number(sqlite::Statement& statement) {
  statement.step();
  return statement.integer(0);
}

int64_t HeldRecords::count() {
  sqlite::Statement rows = db_.prepare("SELECT count(*) FROM held WHERE source = ?1");
  return number(rows.bind(1, source_));
}

int64_t HeldRecords::count_of(const std::string& key) {
  sqlite::Statement rows = db_.prepare("SELECT count(*) FROM held WHERE source = ?1 AND key = ?2");
  return number(rows.bind(1, source_).bind(2, key));
}

bool HeldRecords::has(const Record& record) {
  const std::string digest = digest_of(record);
  sqlite::Statement row = db_.prepare("SELECT 1 FROM held WHERE source = ?1 AND digest = ?2");
  return row.bind(1, source_).bind(2, digest).step();
}

std::vector<HeldRecord> HeldRecords::behind(int64_t seq) {
  sqlite::Statement row = db_.prepare(
      "SELECT seq, body, version, op, captured_us, held_us, key, why FROM held WHERE source = ?1 AND seq > ?2 ORDER BY "
      "seq LIMIT ?3");
  row.bind(1, source_).bind(2, seq).bind(3, most_at_once);
  std::vector<HeldRecord> found;
  for (size_t bytes = 0; bytes < bytes_at_once && row.step();) {
    HeldRecord& held = found.emplace_back();
    held.seq = row.integer(0);
    held.record.body = row.text(1);
    held.record.version = row.text(2);
    held.record.op = op_from_name(row.text(3)).value_or(Op::record);
    held.captured_us = row.integer(4);
    held.held_us = row.integer(5);
    held.key = row.text(6);
    held.why = row.text(7);
    bytes += held.record.body.size();
  }
  return found;
}

void HeldRecords::add(const HeldRecord& held) {
  const std::string digest = digest_of(held.record), op(op_name(held.record.op));
  db_.prepare("INSERT INTO held VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING")
      .bind(1, source_)
      .bind(2, held.seq)
      .bind(3, digest)
      .bind(4, held.record.body)
      .bind(5, held.record.version)
      .bind(6, op)
      .bind(7, held.captured_us)
      .bind(8, held.held_us)
      .bind(9, held.key)
      .bind(10, held.why)
      .run();
}

void HeldRecords::set_why(int64_t seq, const std::string& why) {
  db_.prepare("UPDATE held SET why = ?3 WHERE source = ?1 AND seq = ?2")
      .bind(1, source_)
      .bind(2, seq)
      .bind(3, why)
      .run();
}

int64_t HeldRecords::remove(int64_t seq) {
  db_.prepare("DELETE FROM held WHERE source = ?1 AND seq = ?2").bind(1, source_).bind(2, seq).run();
  return db_.changes();
}

int64_t HeldRecords::remove_of(const std::string& key) {
  db_.prepare("DELETE FROM held WHERE source = ?1 AND key = ?2").bind(1, source_).bind(2, key).run();
  return db_.changes();
}

}  // namespace muskrat

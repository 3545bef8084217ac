#include "relay/scheduled/notice_numbers.hpp"

namespace muskrat {
namespace {

constexpr int64_t second = 1'000'000;

}  // namespace

NoticeNumbers::NoticeNumbers(sqlite::Database& db, const std::string& source)
    : source_(source),
      find_(db.prepare("SELECT seq FROM notice WHERE source = ?1 AND message_id = ?2")),
      top_(db.prepare("SELECT coalesce(max(seq) + 1, ?2) FROM notice WHERE source = ?1 AND seq >= ?2 AND seq < ?3")),
      add_(db.prepare("INSERT INTO notice VALUES (?1, ?2, ?3)")),
      forget_(db.prepare("DELETE FROM notice WHERE source = ?1 AND seq < ?2")) {}

int64_t NoticeNumbers::number(const std::string& message_id, int64_t made_us) {
  if (find_.bind(1, source_).bind(2, message_id).step()) {
    const int64_t known = find_.integer(0);
    find_.reset();
    return known;
  }
  find_.reset();
  const int64_t begin = made_us - made_us % second;
  top_.bind(1, source_).bind(2, begin).bind(3, begin + second).step();
  const int64_t number = top_.integer(0);
  top_.reset();
  add_.bind(1, source_).bind(2, message_id).bind(3, number).run();
  return number;
}

void NoticeNumbers::forget_before(int64_t made_us) { forget_.bind(1, source_).bind(2, made_us).run(); }

}  // namespace muskrat

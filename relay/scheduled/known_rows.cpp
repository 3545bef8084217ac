#include "relay/scheduled/known_rows.hpp"

namespace muskrat {

KnownRows::KnownRows(sqlite::Database& db, const std::string& source)
    : source_(source),
      find_(db.prepare("SELECT slot, digest, seq FROM known WHERE source = ?1 AND key = ?2")),
      behind_(
          db.prepare("SELECT key, slot, digest, seq FROM known WHERE source = ?1 AND key > ?2 ORDER BY key LIMIT ?3")),
      top_(db.prepare("SELECT coalesce(max(slot), 0) FROM known WHERE source = ?1")),
      put_(db.prepare("INSERT OR REPLACE INTO known VALUES (?1, ?2, ?3, ?4, ?5)")),
      remove_(db.prepare("DELETE FROM known WHERE source = ?1 AND key = ?2")) {}

std::optional<KnownRow> KnownRows::find(const std::string& key) {
  std::optional<KnownRow> row;
  if (find_.bind(1, source_).bind(2, key).step())
    row = KnownRow{key, find_.integer(0), std::string(find_.text(1)), find_.integer(2)};
  find_.reset();
  return row;
}

std::vector<KnownRow> KnownRows::behind(const std::string& key, size_t most) {
  std::vector<KnownRow> rows;
  behind_.bind(1, source_).bind(2, key).bind(3, static_cast<int64_t>(most));
  while (behind_.step())
    rows.push_back(
        {std::string(behind_.text(0)), behind_.integer(1), std::string(behind_.text(2)), behind_.integer(3)});
  return rows;
}

int64_t KnownRows::top_slot() {
  top_.bind(1, source_).step();
  const int64_t top = top_.integer(0);
  top_.reset();
  return top;
}

void KnownRows::put(const KnownRow& row) {
  put_.bind(1, source_).bind(2, row.key).bind(3, row.slot).bind(4, row.digest).bind(5, row.seq).run();
}

void KnownRows::remove(const std::string& key) { remove_.bind(1, source_).bind(2, key).run(); }

}  // namespace muskrat

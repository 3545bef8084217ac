#include "relay/scheduled/comparison.hpp"

#include <utility>

#include "common/failure.hpp"

namespace muskrat {
namespace {

[[noreturn]] void twice() {
  throw Failure(Remedy::reconnect,
                "key: the query has two rows with this key; name columns that tell every row apart, or make the query "
                "give each once (DISTINCT, GROUP BY, another join)");
}

// Stands before the digest and the version of what was about to be told; no digest begins so.
constexpr char doubt = '?';
constexpr const char* digest_of_none = "-";

// The version with which that content was about to be told; nullopt when it was not.
std::optional<std::string> version_in_doubt(const KnownRow& row, const std::string& digest) {
  const std::string begin = doubt + digest + ' ';
  return row.digest.starts_with(begin) ? std::optional(row.digest.substr(begin.size())) : std::nullopt;
}

}  // namespace

bool Comparison::Slots::add(int64_t slot) {
  auto bit = blocks_[slot / block][static_cast<size_t>(slot % block)];
  if (bit) return false;
  bit = true;
  return true;
}

bool Comparison::Slots::has(int64_t slot) const {
  const auto found = blocks_.find(slot / block);
  return found != blocks_.end() && found->second[static_cast<size_t>(slot % block)];
}

Comparison::Comparison(KnownRows* known, Setting setting)
    : known_(known), setting_(std::move(setting)), next_slot_(known == nullptr ? 1 : known->top_slot() + 1) {}

std::optional<Comparison::Sight> Comparison::see(const std::string& key, const std::string& digest) {
  auto known = known_ == nullptr ? std::nullopt : known_->find(key);
  if (known && !seen_.add(known->slot)) twice();
  if (known && known->digest == digest) return std::nullopt;
  if (!known && !underway_.insert(key).second) twice();
  Sight sight{!setting_.baseline, !known, "", {key, 0, digest, KnownRow::known_before}};
  if (known) {
    sight.row.slot = known->slot;
    sight.row.seq = known->seq;
  } else {
    sight.row.slot = next_slot_++;
    seen_.add(sight.row.slot);
  }
  const auto again = known ? version_in_doubt(*known, digest) : std::nullopt;
  sight.version = again ? *again : known ? version_after(*known) : "new " + setting_.generation;
  return sight;
}

// A row that comes back to what it was, or that is deleted and comes back, is told with an id of its own: numbers are
// never given twice, and between a deletion and what follows lies a change of generation. What is repeated because its
// page was not settled has the version that is written with the doubt.
std::string Comparison::version_after(const KnownRow& row) const {
  if (row.seq == KnownRow::left_out) return "new " + setting_.generation;
  return "after " + std::to_string(row.seq == KnownRow::known_before ? 0 : setting_.epoch) + "/" +
         std::to_string(row.seq);
}

std::string Comparison::version_of_deletion(const KnownRow& row) const {
  return version_in_doubt(row, digest_of_none).value_or("gone " + version_after(row));
}

KnownRow Comparison::in_doubt(KnownRow row, const std::string& version) {
  row.digest = doubt + (row.digest.empty() ? digest_of_none : row.digest) + ' ' + version;
  return row;
}

void Comparison::settled(const std::vector<KnownRow>& rows) {
  for (const KnownRow& row : rows) underway_.erase(row.key);
}

Comparison::Gone Comparison::gone_behind(const std::string& key, size_t most) const {
  Gone gone;
  if (known_ == nullptr) return gone;
  for (KnownRow& row : known_->behind(key, most)) {
    ++gone.looked_at;
    gone.last = row.key;
    if (!seen_.has(row.slot)) gone.rows.push_back(std::move(row));
  }
  return gone;
}

}  // namespace muskrat

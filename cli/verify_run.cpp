#include "cli/verify_run.hpp"

#include <algorithm>
#include <future>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "cli/terminal.hpp"
#include "common/backoff.hpp"

namespace muskrat::cli {
namespace {

constexpr size_t most_suspects = 5000;      // in memory
constexpr int64_t ranges_of_chunks = 10;    // rows of a range that is digested, in chunks
constexpr size_t looked_at_together = 500;  // rows of a statement that looks again
constexpr size_t repaired_together = 100;   // rows locked in one transaction
constexpr size_t bytes_together = size_t{4} << 20;
constexpr milliseconds compare_time = std::chrono::minutes(5);

SteadyTime now() { return std::chrono::steady_clock::now(); }
Deadline in_time() { return Deadline::in(compare_time); }

Finding::Kind kind_of(Discrepancy::Kind kind) {
  if (kind == Discrepancy::Kind::missing) return Finding::Kind::missing;
  return kind == Discrepancy::Kind::different ? Finding::Kind::different : Finding::Kind::refused;
}

std::string json_array(const KeyTexts& texts) {
  std::string array = "[";
  for (const std::string& text : texts) array += (array.size() > 1 ? "," : "") + json::quote(text);
  return array + "]";
}

}  // namespace

VerifyRun::VerifyRun(VerifySource& source, Mirror& mirror, VerifyDelivery& delivery, VerifyReport& report,
                     std::vector<std::optional<Finder>> finders, std::optional<Finder> digested, Options options,
                     const Stop& stop)
    : source_(source),
      mirror_(mirror),
      delivery_(delivery),
      report_(report),
      finders_(std::move(finders)),
      digested_(std::move(digested)),
      options_(std::move(options)),
      stop_(stop),
      progress_(options_.json) {}

bool VerifyRun::run() {
  began_ = due_ = now();
  if (digested_) {
    walk_ranges();
  } else {
    walk_source({});
    for (size_t table = 0; table < finders_.size(); ++table) walk_endpoint(table, {});
  }
  settle_suspects();
  progress_.end();
  return !stop_.requested();
}

// ---- the two walks ----

// Where the digests of a range are equal its rows are. Where they are not, be it only for what is under way, they are
// looked at one by one. The last range has no end, so that it holds what the endpoint has behind the source's last row.
void VerifyRun::walk_ranges() {
  KeyRange range;
  do {
    range.after = std::exchange(range.upto, {});
    range.upto = source_.range_end(range.after, options_.chunk * ranges_of_chunks);
    if (same_digest(range)) continue;
    walk_source(range);
    walk_endpoint(0, range);
  } while (!range.upto.empty() && !stop_.requested());
}

// Both databases at the same time, each on its connection.
bool VerifyRun::same_digest(const KeyRange& range) {
  auto endpoint = std::async(std::launch::async, [&] { return mirror_.digest(0, digested_->types, range, in_time()); });
  const RangeDigest expected = source_.digest(*digested_, range);
  if (endpoint.get() != expected) return false;
  report_.compared(expected.rows);
  report_.equal_by_digest(expected.rows);
  pace(expected.rows);
  show("comparing");
  return true;
}

void VerifyRun::walk_source(const KeyRange& range) {
  KeyRange left = range;
  for (int64_t seen = options_.chunk; seen == options_.chunk && !stop_.requested();) {
    std::vector<SourceRow> rows;
    size_t bytes = 0;
    seen = source_.walk(left, options_.chunk, [&](SourceRow&& row) {
      left.after = row.key;
      for (const auto& body : row.bodies) bytes += body ? body->text.size() : 0;
      rows.push_back(std::move(row));
      if (bytes < bytes_together) return;
      compare(rows);
      bytes = 0;
    });
    compare(rows);
    report_.compared(seen);
    pace(seen);
    show("comparing");
    if (suspects_.size() >= most_suspects) settle_suspects();
  }
}

void VerifyRun::compare(std::vector<SourceRow>& rows) {
  add(differences(rows, false));
  rows.clear();
}

// The keys are read first and looked up then: a row that was inserted in between is found, and one that was deleted is
// looked at again.
void VerifyRun::walk_endpoint(size_t table, const KeyRange& range) {
  if (!finders_[table]) return;
  KeyRange left = range;
  for (size_t seen = static_cast<size_t>(options_.chunk);
       seen == static_cast<size_t>(options_.chunk) && !stop_.requested();) {
    const std::vector<KeyTexts> keys = mirror_.keys(table, left, options_.chunk, in_time());
    seen = keys.size();
    if (keys.empty()) return;
    const std::vector<bool> absent = source_.absent(*finders_[table], keys);
    Suspects extra;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!absent[i]) continue;
      Suspect suspect;
      suspect.finding = {Finding::Kind::extra, mirror_.tables()[table].table, json_array(keys[i]), {}, "", {}};
      suspect.table = table;
      suspect.target_key = keys[i];
      extra.push_back(std::move(suspect));
    }
    add(std::move(extra));
    left.after = keys.back();
    endpoint_rows_ += static_cast<int64_t>(seen);
    pace(static_cast<int64_t>(seen));
    show("looking for extra rows");
    if (suspects_.size() >= most_suspects) settle_suspects();
  }
}

VerifyRun::Suspects VerifyRun::differences(const std::vector<SourceRow>& rows, bool with_values) {
  std::vector<Event> events;
  std::vector<std::pair<size_t, size_t>> from;  // row, attachment
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t p = 0; p < rows[r].bodies.size(); ++p) {
      if (!rows[r].bodies[p]) continue;
      Event event = event_of(source_.plan().parts[p], options_.source);
      event.body = rows[r].bodies[p]->text;
      event.omitted = rows[r].bodies[p]->omitted;
      events.push_back(std::move(event));
      from.emplace_back(r, p);
    }
  }
  Suspects found;
  if (events.empty()) return found;
  for (Discrepancy& difference : mirror_.compare(events, with_values, in_time())) {
    const auto [row, part] = from[difference.event];
    Suspect suspect;
    suspect.finding = {kind_of(difference.kind),
                       mirror_.tables()[difference.table].table,
                       difference.key.empty() ? rows[row].shown : difference.key,
                       std::move(difference.columns),
                       difference.why,
                       std::move(difference.values)};
    suspect.table = difference.table;
    suspect.part = part;
    suspect.source_key = rows[row].key;
    suspect.version = rows[row].version;
    found.push_back(std::move(suspect));
  }
  return found;
}

void VerifyRun::add(Suspects&& suspects) { std::move(suspects.begin(), suspects.end(), std::back_inserter(suspects_)); }

// ---- suspects ----

void VerifyRun::settle_suspects() {
  examine(std::exchange(suspects_, {}));
  if (options_.repair && !stop_.requested()) repair(std::exchange(to_repair_, {}));
}

void VerifyRun::examine(Suspects suspects) {
  const Deadline patience = Deadline::in(options_.patience);
  std::string waits_for;
  while (!suspects.empty() && !stop_.requested()) {
    show("waiting for what is under way");
    waits_for = delivery_.settle(patience);
    suspects = look_again(std::move(suspects), waits_for.empty());
    if (patience.passed()) break;
  }
  if (waits_for.empty()) waits_for = "the row keeps changing";
  if (stop_.requested()) waits_for = "stopped";
  for (const Suspect& suspect : suspects) report_.undecided(suspect.finding, waits_for);
}

VerifyRun::Suspects VerifyRun::look_again(Suspects suspects, bool settled) {
  Suspects left;
  for (size_t i = 0; i < suspects.size(); i += looked_at_together) {
    Suspects rows, extra;
    for (size_t s = i; s < std::min(i + looked_at_together, suspects.size()); ++s) {
      Suspects& kind = suspects[s].finding.kind == Finding::Kind::extra ? extra : rows;
      kind.push_back(std::move(suspects[s]));
    }
    look_at_rows(rows, settled, left);
    look_at_extra(extra, settled, left);
  }
  return left;
}

// Source, endpoint, source: a row that was written between the first two looks would be taken for another.
void VerifyRun::look_at_rows(Suspects& rows, bool settled, Suspects& left) {
  if (rows.empty()) return;
  std::set<KeyTexts> wanted;
  for (const Suspect& suspect : rows) wanted.insert(suspect.source_key);
  const std::vector<KeyTexts> keys(wanted.begin(), wanted.end());
  std::map<Place, Suspect> still;
  for (Suspect& suspect : differences(source_.again(keys), options_.values)) {
    Place place{suspect.source_key, suspect.part, suspect.table};
    still.emplace(std::move(place), std::move(suspect));
  }
  std::map<KeyTexts, std::string> versions;
  for (SourceRow& row : source_.again(keys)) versions.emplace(std::move(row.key), std::move(row.version));
  for (Suspect& suspect : rows) {
    const auto found = still.find({suspect.source_key, suspect.part, suspect.table});
    if (found == still.end()) {
      resolved(suspect);
      continue;
    }
    const auto version = versions.find(suspect.source_key);
    const bool same =
        suspect.version == found->second.version && version != versions.end() && version->second == suspect.version;
    found->second.told = suspect.told;
    found->second.looks = suspect.looks;
    decide(std::move(found->second), settled && same, left);
  }
}

// The version first: had the row been written after the source was looked at, the next look would show it.
void VerifyRun::look_at_extra(Suspects& rows, bool settled, Suspects& left) {
  for (size_t table = 0; table < finders_.size(); ++table) {
    std::vector<KeyTexts> keys;
    std::vector<Suspect*> of_table;
    for (Suspect& suspect : rows) {
      if (suspect.table != table) continue;
      keys.push_back(suspect.target_key);
      of_table.push_back(&suspect);
    }
    if (keys.empty()) continue;
    const auto versions = mirror_.versions(table, keys, in_time());
    const std::vector<bool> absent = source_.absent(*finders_[table], keys);
    for (size_t i = 0; i < keys.size(); ++i) {
      Suspect& suspect = *of_table[i];
      if (!versions[i] || !absent[i]) {
        resolved(suspect);
        continue;
      }
      const bool same = suspect.version == *versions[i];
      suspect.version = *versions[i];
      decide(std::move(suspect), settled && same, left);
    }
  }
}

void VerifyRun::resolved(const Suspect& suspect) {
  if (suspect.told) report_.repaired(suspect.finding);
}

void VerifyRun::decide(Suspect&& suspect, bool same, Suspects& left) {
  suspect.looks = same ? suspect.looks + 1 : 0;
  if (suspect.looks < std::max(source_.looks(), mirror_.looks())) return left.push_back(std::move(suspect));
  if (suspect.told) return report_.not_repaired(suspect.finding, "it still differs");
  report_.found(suspect.finding);
  if (options_.repair) to_repair_.push_back(std::move(suspect));
}

// ---- mending ----

// Each row is told behind its lock, as a backfill does; who is locked is tried again.
void VerifyRun::repair(Suspects suspects) {
  const Deadline patience = Deadline::in(options_.patience);
  Backoff backoff(milliseconds(20), milliseconds(1000));
  Suspects told, waiting;
  for (Suspect& suspect : suspects) {
    const bool rows =
        suspect.finding.kind == Finding::Kind::missing || suspect.finding.kind == Finding::Kind::different;
    if (rows) {
      waiting.push_back(std::move(suspect));
      continue;
    }
    report_.not_repaired(suspect.finding,
                         suspect.finding.kind == Finding::Kind::extra
                             ? "no event can take it away; delete it at the endpoint"
                             : "the endpoint would refuse the event again; change its mapping or the table");
  }
  while (!waiting.empty() && !patience.passed() && !stop_.requested()) {
    Suspects locked;
    for (size_t i = 0; i < waiting.size(); i += repaired_together) {
      const size_t end = std::min(i + repaired_together, waiting.size());
      std::vector<KeyTexts> keys;
      for (size_t s = i; s < end; ++s) keys.push_back(waiting[s].source_key);
      const std::string fates = source_.repair(options_.endpoint, keys);
      for (size_t s = i; s < end; ++s) {
        waiting[s].told = true;
        (fates[s - i] == 'l' ? locked : told).push_back(std::move(waiting[s]));
      }
      show("repairing");
    }
    waiting = std::move(locked);
    if (!waiting.empty()) stop_.wait(backoff.next());
  }
  for (const Suspect& suspect : waiting) report_.not_repaired(suspect.finding, "somebody holds the row's lock");
  for (Suspect& suspect : told) {  // so that they are looked at as if for the first time
    suspect.version.clear();
    suspect.looks = 0;
  }
  examine(std::move(told));
}

// ---- pace, and being seen ----

void VerifyRun::pace(int64_t rows) {
  if (options_.rate <= 0) return;
  due_ = std::max(due_, now() - milliseconds(1000)) + milliseconds(rows * 1000 / options_.rate);
  if (due_ > now()) stop_.wait(std::chrono::duration_cast<milliseconds>(due_ - now()));
}

void VerifyRun::show(const char* what) {
  const auto line = [&] {
    const int64_t rows = report_.sums().rows;
    std::string text = fmt::format("{}  {} of about {} rows", percent_text(rows, source_.plan().rows), rows,
                                   std::max(rows, source_.plan().rows));
    if (endpoint_rows_ > 0) text += fmt::format(", {} at the endpoint", endpoint_rows_);
    return text + fmt::format("; {}, {} found", what, report_.sums().found());
  };
  const auto object = [&] {
    json::Object at;
    at.add("progress", what).add("rows", report_.sums().rows).add("estimate", source_.plan().rows);
    return std::move(at.add("endpoint_rows", endpoint_rows_).add("found", report_.sums().found()));
  };
  progress_.show(line, object);
}

}  // namespace muskrat::cli

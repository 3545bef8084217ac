// What a scheduled source remembers: its cursor, how its runs went, its numbers, what it sent within the overlap, and
// the records that it holds.
//
// Used by ScheduledSource, produce() and `muskrat status`. A SQLite file beside the relay (relay.state), one row a
// source; what settled(), reserve(), doubt() and number() wrote survives kill -9. Failure{reconnect} when the file
// cannot be used. Neighbours: RunLock, which says who may run. Thread rule: one owner; other processes may have the
// file open too. What it does not do: stand-by on another machine. The file is this machine's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/options.hpp"
#include "common/sqlite.hpp"
#include "relay/scheduled/held_records.hpp"
#include "relay/scheduled/known_rows.hpp"
#include "relay/scheduled/notice_numbers.hpp"

namespace muskrat {

// relay.state; under $STATE_DIRECTORY when it is relative and there is one.
std::string scheduled_state_path(const Settings& relay);

// How the runs of one source went; times in microseconds since 1970.
struct RunHistory {
  std::optional<int64_t> begun_us;    // of the last run that ended well: when it began
  std::optional<int64_t> success_us;  // when that ended
  std::string trouble;                // why the last run failed; "" when it did not
};

class ScheduledState {
 public:
  struct Sent {
    std::string digest;
    int64_t rank = 0;  // its place along the cursor
  };
  // A small text of the kind's own, under a name, until it is replaced.
  struct Kept {
    std::string name, text;
  };
  // What is remembered of a page.
  struct Settlement {
    std::vector<Sent> sent;
    std::vector<KnownRow> rows;
    std::vector<std::string> gone;  // keys of rows that are known no longer
    std::string cursor;
    std::optional<int64_t> forget_below;  // what ranks lower is forgotten
    std::vector<Kept> kept = {};
    std::vector<HeldRecord> held = {};
    std::vector<int64_t> released = {};  // numbers of records that are held no longer
  };

  struct Notice {
    std::string message_id;
    int64_t made_us = 0;
  };

  // Makes the file and the source's row where they are missing. `shape` says what the cursor consists of.
  static std::unique_ptr<ScheduledState> open(const std::string& path, const std::string& source,
                                              const std::string& shape);
  // For those who only look: null where there is nothing yet.
  static std::unique_ptr<ScheduledState> find(const std::string& path, const std::string& source);

  // Reads the row anew: another process may have run.
  void load();
  // Failure when the stored cursor is of another shape.
  void expect_shape(const std::string& shape) const;

  int64_t epoch() const { return epoch_; }  // unix seconds of when this state was made
  int64_t born_us() const { return epoch_ * 1'000'000; }
  const RunHistory& history() const { return history_; }
  const std::string& cursor() const { return cursor_; }  // "" before the first settled page

  // The first of `count` numbers that were never given before, whatever becomes of them.
  int64_t reserve(size_t count);
  // A number for each, by when it was made; see NoticeNumbers. Those made before `kept_from_us` are forgotten.
  std::vector<int64_t> number(const std::vector<Notice>& notices, int64_t kept_from_us);
  // Written before their events are sent; see Comparison::in_doubt().
  void doubt(const std::vector<KnownRow>& rows);
  bool knows(const std::string& digest);
  // Whether a record of that rank may be known at all.
  bool may_know(int64_t rank) const { return rank <= top_place_; }
  // Numbers from `unused` on were reserved last, and never given: the next reserve() begins there.
  void release(int64_t unused);
  // The broker has confirmed these pages: one transaction.
  void settled(std::span<const Settlement* const> pages);
  KnownRows& rows();
  HeldRecords& held();
  // No file of the state has what was removed from it. Failure{reconnect} as sqlite::Database::empty_log() has it.
  void leave_no_trace() { db_.empty_log(); }
  // While it lives, knows() and rows() read as of one moment, and cost less.
  void begin_reading(std::optional<sqlite::Reading>& reading) { reading.emplace(db_); }
  std::string kept(const std::string& name);
  // Small texts of the kind's own, such as the ETag of a window, with a rank at which they are forgotten too.
  std::string note(const std::string& name);
  void set_note(const std::string& name, const std::string& text, int64_t rank);
  void succeeded(int64_t begun_us, int64_t now_us);
  void failed(const std::string& why);

 private:
  ScheduledState(const std::string& path, std::string source);
  void make_tables();
  void forget(int64_t below);

  sqlite::Database db_;
  std::string source_, shape_, cursor_;
  int64_t epoch_ = 0;
  RunHistory history_;
  bool there_ = false;
  int64_t top_place_ = INT64_MIN;                  // no record of a higher rank is known
  std::optional<sqlite::Statement> knows_, kept_;  // asked for every record
  std::optional<KnownRows> rows_;
  std::optional<HeldRecords> held_;
  std::optional<NoticeNumbers> numbers_;
};

}  // namespace muskrat

// Reads the outbox: every committed event once, in id order within a read, in bounded memory.
//
// A *read* is what became visible between two snapshots. A small one comes in a
// single round trip, bodies and snapshot together, bounded in events and bytes. A
// large one (a backlog) is drained from sorted lists of at most `list_limit` places
// (id, segment, ctid), gathered in slices of transactions so that no statement runs
// long and no snapshot is held, unless one transaction alone wrote that much; bodies are fetched by ctid, page by page.
// Bodies are never sorted on the server, nor is anything spilled to its disk. See docs/adr/0012.
//
// Before the first event of a read is handed out, everything it saw is durable on the
// server, and on its synchronous standbys where it has some (docs/adr/0013).
//
// Used by the leading source, which hands the events to its Window and asks here which
// cursor belongs to a window's position. Thread rule: the source's thread.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "relay/meters.hpp"
#include "relay/sources/postgres_outbox_db.hpp"
#include "relay/window.hpp"

namespace muskrat::postgres_outbox {

class Reader {
 public:
  struct Settings {
    std::string source;
    int64_t epoch;
    size_t read_limit;              // events of a small read
    size_t list_limit = 256 << 10;  // places of a large one listed at a time
    // Most transactions in a slice: more than any outbox holds. A width that went on doubling would one day be none.
    uint64_t slice_most = uint64_t{1} << 32;
    // Events of a slice, about. Of one that turned out to have more than twice as many, pieces are made.
    size_t slice_rows = 32'768;
  };
  // Renew the lease, listen to the broker: between the slices of a long listing, and in the middle of a statement, when
  // the Db is busy.
  using Beat = std::function<void()>;

  Reader(Db& db, Settings settings, const Cursor& start, Meters& meters, Beat between, Beat within);

  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  struct Page {
    uint64_t read = 0;
    std::vector<Outgoing> events;
    bool end = false;  // of the read
  };
  // The next events, at most so many and so large (one is handed out however large it is). Begins a new read when the
  // one before is handed out; then a page without events means that nothing is new.
  Page next(size_t events, int64_t bytes);
  // Asks for the next read, which lets events gather in the server for so long, then waits there until something is
  // committed or `longest` is over. Between reads; next() takes its answer, and waits for that where it has not come.
  void await(milliseconds longest, microseconds gather);
  // One was asked for and next() has not taken it; its answer has come.
  bool awaiting() const { return awaiting_; }
  bool answered() const { return awaiting_ && db_.ahead_is_here(); }
  // The read in hand is not handed out yet: next() needs no poll.
  bool in_read() const { return in_read_; }
  // Listed and not handed out.
  size_t listed() const { return listed_.size() - at_; }

  // The cursor that belongs to a window's position. `exact`: to the event, whatever it costs rotation; else a small
  // read is saved whole or not at all, because segments are only freed between reads.
  Cursor cursor_at(const Window::Position& position, bool exact);

  // Held events, with their bodies or without, by place; those that are not there are left out.
  std::vector<Outgoing> fetch(const std::vector<Held::Item>& items, bool bodies);
  // Key, routing key, place and size of ids, in the order given; for a start with held events. Scans the segments.
  std::vector<Held::Item> locate(const std::vector<int64_t>& ids);

 private:
  class ReadParams;
  struct Place {
    int64_t id;
    uint64_t place;  // segment << 48 | block << 16 | offset
    uint32_t bytes;
  };
  // Transactions of the read in hand, and what is known of the ids of their events.
  struct Slice {
    uint64_t from, to;
    int64_t least = 0;         // none that is not handed out is lower
    int64_t most = INT64_MAX;  // none is higher
    int64_t top = 0;           // the highest that this pass has listed
    size_t rows = 0;           // that were there when it was looked through last
  };
  struct Taken {  // reads whose events may be unsettled
    uint64_t number;
    std::string last, snapshot;
    bool large;
    bool events;
  };

  void begin_read();
  pg::Result read_now();
  void take_row(const pg::Result& rows, int row);
  void make_durable(bool flushed, bool replicated);
  void list_more();
  void list_new_slices();
  void look_through(Slice& slice);
  void ask_range(Slice& slice, int64_t from);
  void list_slice(Slice& slice, const std::string& transactions);
  int64_t bound() const { return first_unlisted_ != 0 ? first_unlisted_ : INT64_MAX; }
  void keep_smallest();
  size_t list_room() const { return settings_.list_limit + settings_.list_limit / 4; }
  void fetch_bodies(size_t events, int64_t bytes);
  void ask_ahead();
  std::vector<Place> places_from(size_t from, size_t events, int64_t bytes) const;
  pg::Result ask(const std::string& by_place, const std::vector<Place>& places);
  void decode_all(const pg::Result& rows, const std::vector<Place>& places, std::vector<Outgoing>& out) const;
  void note_read();
  void decode(const pg::Result& rows, int row, int column, uint64_t place, Outgoing& out) const;
  std::vector<Outgoing> take_fetched(size_t events, int64_t bytes);

  Db& db_;
  Settings settings_;
  Meters& meters_;
  Beat between_, within_;
  Cursor start_;

  uint64_t number_ = 0;
  PgSnapshot last_, snapshot_;  // of the read in hand
  bool in_read_ = false;
  bool awaiting_ = false;
  bool more_ = false;  // the list was cut: there is more of this read behind listed_id_
  int64_t listed_id_ = 0;
  int64_t first_unlisted_ = 0;  // ids from here on were dropped while listing; 0 = none
  std::vector<Place> listed_;
  size_t at_ = 0;                  // the next of listed_ to hand out
  std::vector<Outgoing> fetched_;  // with their bodies, those of listed_ up to at_ + the rest of this
  size_t fetched_at_ = 0;          // the next of fetched_ to hand out
  std::vector<Place> ahead_;       // of listed_, behind those: their bodies are on their way
  std::vector<Slice> slices_;      // of the read in hand, when it has been looked through once
  uint64_t slice_ = 1;             // transactions in the next one: each may have written millions of events
  std::deque<Taken> taken_;
#ifdef MUSKRAT_BUG_cursor_on_id
  int64_t newest_id_ = 0;
#endif
};

}  // namespace muskrat::postgres_outbox

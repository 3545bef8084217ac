// Looking back: events that the relay has published and the outbox still has, read again.
//
// Used by `muskrat replay`. What the cursor has not passed, and what is held, is left out: it comes by itself. Places
// are listed in order of id, so many at a time, and bodies fetched by place, so memory is bounded whatever is meant; no
// snapshot is held in between. Each event has the epoch under which it was published. Neighbours: Reader, which reads
// what is still to be published. Thread rule: its connection's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/event.hpp"
#include "common/pg.hpp"

namespace muskrat::postgres_outbox {

// Empty: not asked about.
struct HistoryFilter {
  std::optional<std::string> since, until;  // timestamps as the server reads them
  std::vector<std::string> keys, message_ids;
  std::optional<std::vector<std::string>> routing_keys;
  int64_t after = 0;                                   // ids beyond this
  std::optional<std::vector<std::string>> addressees;  // what was for another endpoint alone is left out
  bool addressed = true;  // what was for one endpoint alone is meant, whatever its routing key
};

struct HistoryCount {
  std::string routing_key;
  std::string addressee;  // the endpoint they were for alone; empty: for all
  int64_t events = 0, bytes = 0, first_id = 0, last_id = 0, oldest_us = 0, newest_us = 0;
};

class History {
 public:
  static constexpr size_t list_limit = 1 << 20;  // places in memory: 24 MB

  // Reads where the cursor stands. Failure{stop} when no relay was ever here.
  History(pg::Connection& db, std::string source, size_t limit = list_limit);

  std::vector<HistoryCount> count(const HistoryFilter& filter);
  // From now on next() hands these out.
  void choose(HistoryFilter filter);
  // The next events in order of id; none at the end.
  std::vector<Event> next();
  // Listed, but not there any more when they were to be read: the retention has passed.
  int64_t gone() const { return gone_; }

 private:
  struct Place {
    int64_t id;
    uint64_t place;
    int64_t bytes;
    bool operator<(const Place& other) const { return id < other.id; }
  };
  class Parameters;

  void list();
  size_t page_end() const;
  std::vector<Event> read_page(size_t end);

  pg::Connection& db_;
  const std::string source_;
  const size_t limit_;
  std::string xmax_, xip_, held_, current_, current_id_;  // the cursor; current_ "": no read in hand
  HistoryFilter filter_;
  std::vector<Place> listed_;
  size_t at_ = 0;
  bool more_ = false;
  int64_t gone_ = 0;
};

}  // namespace muskrat::postgres_outbox

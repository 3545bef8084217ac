// OutboxHistory of PostgreSQL: what the cursor has passed, in the segments that the rotation has not freed.
//
// Used by `muskrat replay`. Places are listed in order of id, so many at a time, and bodies fetched by place.
// Neighbours: Reader, which reads what is still to be published. Thread rule: its connection's.
#pragma once

#include <string>
#include <vector>

#include "common/pg.hpp"
#include "relay/outbox_history.hpp"

namespace muskrat::postgres_outbox {

class History : public OutboxHistory {
 public:
  static constexpr size_t list_limit = 1 << 20;  // places in memory: 24 MB

  // Reads where the cursor stands. Failure{stop} when no relay was ever here.
  History(pg::Connection& db, std::string source, size_t limit = list_limit);

  std::vector<HistoryCount> count(const HistoryFilter& filter) override;
  void choose(HistoryFilter filter) override;
  std::vector<Event> next() override;
  int64_t gone() const override { return gone_; }

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

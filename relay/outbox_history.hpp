// Looking back: events that the relay has published and a source still has, read again.
//
// Used by `muskrat replay`. Implemented by sources/postgres_outbox_history and sources/mysql_outbox_history. What is
// still to be published, and what is held, is left out: it comes by itself. Memory is bounded whatever is meant, and no
// snapshot is held between two pages. Each event has the epoch under which it was published. Thread rule: its
// connection's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/event.hpp"

namespace muskrat {

// Empty: not asked about.
struct HistoryFilter {
  std::optional<std::string> since, until;  // instants as the source's server reads them
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

class OutboxHistory {
 public:
  virtual ~OutboxHistory() = default;
  virtual std::vector<HistoryCount> count(const HistoryFilter& filter) = 0;
  // From now on next() hands these out.
  virtual void choose(HistoryFilter filter) = 0;
  // The next events in order of id; none at the end.
  virtual std::vector<Event> next() = 0;
  // Listed, but not there any more when they were to be read: the retention has passed.
  virtual int64_t gone() const = 0;
};

}  // namespace muskrat

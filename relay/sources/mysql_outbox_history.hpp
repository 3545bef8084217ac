// OutboxHistory of MySQL and MariaDB: muskrat.history, into which the relay moves what was confirmed where the source's
// `retention` is set.
//
// Used by `muskrat replay`. Ids are listed in their order, so many at a time, and bodies fetched by id, a page at a
// time. Neighbour: mysql_outbox_db.cpp, which writes the table and trims it. Thread rule: its connection's.
#pragma once

#include <string>
#include <vector>

#include "common/mysql.hpp"
#include "relay/outbox_history.hpp"

namespace muskrat::mysql_outbox {

class History : public OutboxHistory {
 public:
  History(mysql::Connection& db, std::string source) : db_(db), source_(std::move(source)) {}

  std::vector<HistoryCount> count(const HistoryFilter& filter) override;
  void choose(HistoryFilter filter) override;
  std::vector<Event> next() override;
  int64_t gone() const override { return gone_; }

 private:
  struct Place {
    int64_t id, bytes;
  };
  void list();
  std::vector<Event> read(const std::vector<int64_t>& ids);

  mysql::Connection& db_;
  const std::string source_;
  HistoryFilter filter_;
  std::vector<Place> listed_;
  size_t at_ = 0;
  int64_t last_ = 0;  // listed up to here
  bool more_ = false;
  int64_t gone_ = 0;
};

}  // namespace muskrat::mysql_outbox

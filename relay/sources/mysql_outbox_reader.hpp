// Reads the outbox of MySQL or MariaDB: every committed event once, in id order within
// a read, in bounded memory, late ones with low ids included.
//
// One statement lists ids and sizes: those beyond the highest id read, and those in the
// gaps below it (docs/adr/0071); bodies are fetched by id, a page at a time. Now and
// then everything is looked at, whatever the gaps say. What was read stays known until
// its row is deleted.
//
// To say how long a large body is the server reads it. So a list is as long as can be
// had quickly, and where it would hold rows that are known already, which may be large
// and held for ever, ids are listed alone and sizes asked of those that are new.
//
// Used by the mysql source's leader. Thread rule: the source's thread.
#pragma once

#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "relay/batch_size.hpp"
#include "relay/id_gaps.hpp"
#include "relay/sources/mysql_outbox_db.hpp"
#include "relay/window.hpp"

namespace muskrat::mysql_outbox {

class Reader {
 public:
  struct Settings {
    std::string source;
    int64_t epoch;
    size_t list_limit;  // ids listed at a time
  };
  // `length`: of the next list; it is longer-lived than a reader.
  Reader(Db& db, Settings settings, BatchSize& length) : db_(db), settings_(std::move(settings)), length_(length) {}

  struct Page {
    std::vector<Outgoing> events;
    bool end = false;  // nothing more that this poll knows of
  };
  // The next events, at most so many and so large (one is handed out however large it is).
  Page next(size_t events, int64_t bytes, SteadyTime now);
  bool in_read() const { return at_ < listed_.size() || more_; }
  size_t listed() const { return listed_.size() - at_; }
  size_t gaps() const { return gaps_.count(); }
  int64_t highest() const { return gaps_.highest(); }  // id that was listed
  // Their rows are deleted.
  void gone(const std::vector<int64_t>& ids);
  // Forgets gaps in which nothing can come any more.
  void tend(SteadyTime now);

  std::vector<Outgoing> fetch(const std::vector<Held::Item>& items);
  // Key, routing key and size of ids that were held before, in the order given.
  std::vector<Held::Item> locate(const std::vector<int64_t>& ids);

 private:
  struct Row {
    int64_t id, bytes;
  };
  void poll(SteadyTime now);
  bool list_with_sizes(SteadyTime now);
  void list(bool full, SteadyTime now);
  void list_sizes(const std::vector<int64_t>& ids, SteadyTime now);
  void take(const mysql::Result& rows, SteadyTime now);
  void locate_some(std::span<const int64_t> ids, std::vector<Held::Item>& items);
  std::vector<Outgoing> fetch_ids(const std::vector<int64_t>& ids);

  Db& db_;
  Settings settings_;
  BatchSize& length_;
  IdGaps gaps_;
  std::unordered_set<int64_t> known_;  // read, and not deleted
  std::vector<Row> listed_;
  size_t at_ = 0;
  bool more_ = false;
  bool went_back_ = false;  // so it seems: a low id was met where none was awaited
  SteadyTime next_full_look_{};
  int64_t next_gap_ = 0;  // where tend() goes on
};

}  // namespace muskrat::mysql_outbox

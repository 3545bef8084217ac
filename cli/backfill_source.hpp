// A source's database as `muskrat backfill` sees it: what a backfill would tell, and the next rows of one.
//
// Used by backfill.cpp and backfill_run.cpp. PostgreSQL implements it by the functions of sql/backfill.sql, MySQL in
// backfill_mysql.cpp. Thread rule: the main thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/failure.hpp"
#include "common/stop.hpp"

namespace muskrat::cli {

// What was asked for. Empty: the attachments of the table, every endpoint, all rows.
struct BackfillOrder {
  std::string table, attachment, endpoint, condition;
};

struct BackfillPlan {
  struct Part {
    std::string attachment, object, words, problem;
    bool conditional = false;
  };
  std::string table;
  int64_t rows = 0, row_bytes = 0;  // by the server's estimates
  int64_t tables = 1;               // partitions
  std::vector<Part> parts;
};

struct BackfillState {
  bool running = true;
  int64_t passed = 0, events = 0, bytes = 0;
  int64_t later = 0;  // rows that are left because somebody holds their locks
};

struct BackfillEntry {
  int64_t id = 0, estimate = 0;
  std::string table, endpoint, state, started_by, started_at, attachments;
  bool mine = false;
  BackfillState at;
};

struct BackfillPressure {
  int64_t events = 0;  // that wait for the relay, counted up to a bound
  bool relay = false;  // one runs
};

class BackfillSource {
 public:
  virtual ~BackfillSource() = default;
  virtual BackfillPlan plan(const BackfillOrder& order) = 0;
  // One of this order that was begun by this role and is not done.
  virtual std::optional<int64_t> find(const BackfillOrder& order) = 0;
  virtual int64_t start(const BackfillOrder& order) = 0;
  virtual void cancel(int64_t id) = 0;
  virtual std::vector<BackfillEntry> list() = 0;

  // Nobody else may work on it until the connection ends; false: somebody does.
  virtual bool take(int64_t id) = 0;
  // One chunk, in a transaction of its own. nullopt: something was in the way for a moment, try again.
  virtual std::optional<BackfillState> step(int64_t id, int64_t rows, std::string& why) = 0;
  virtual BackfillPressure pressure(int64_t bound) = 0;
  // Whether a new connection may mend it, and that.
  virtual bool mends(const Failure& failure) const = 0;
  virtual void reconnect(const Stop& stop) = 0;
  virtual const std::string& place() const = 0;
};

// UsageError for a kind of source that cannot be backfilled.
std::unique_ptr<BackfillSource> open_backfill_source(const Component& source, const std::string& dsn);

}  // namespace muskrat::cli

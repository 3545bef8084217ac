// The host's state database: what must outlive the host and has no place in the endpoint's own transaction.
//
//   guard       (endpoint, source, object, target, row key) → the newest (epoch, seq) in place; outlives the row: a
//               delete's mark is a tombstone; and the scope's last TRUNCATE
//   seen        (endpoint, message id) of events done, until it is time to forget them
//   paused      endpoints that an operator has paused
//   parked      endpoints that a host has parked, for `muskrat status`
//   quota       what of each endpoint's quota went, by time slots
//   under way   calls that may go on at an API when the host that made them is no more; jobs, for `muskrat status`
//   superseded  the newest events of each endpoint that were passed over, for listing (a bounded ring)
//
// Used by state/guarded.cpp (guard and seen, for endpoint kinds with `host_keeps_state`), by limits/quota_book.cpp
// (quota), by endpoints/api/call_notes.cpp (under way), by the host and the CLI (paused, parked, superseded). Two
// implementations: SQLite by default, PostgreSQL where hosts stand by for each other. Each function is one transaction;
// what it has recorded survives kill -9 of the host. When the database cannot be reached, Failure{reconnect}: open
// another Store. Thread rule: a Store belongs to one thread; open one for each. What it does not do: decide
// (guarded.cpp), or log superseded events by itself (the host does, for every kind).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/config.hpp"
#include "common/failure.hpp"
#include "common/state_path.hpp"
#include "consumer/limits/quota.hpp"

namespace muskrat::state {

// A place in a source's history.
struct Version {
  int64_t epoch = 0, seq = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 sees a pointer in the comparison that it wrote itself
  auto operator<=>(const Version&) const = default;
};

// What a guard is about, beside the row.
struct Scope {
  std::string source;  // the event's source
  std::string object;  // "<Source>.<Object>" of its routing key
  std::string target;  // where the mapping sends it, where an endpoint has several places; "" = one
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 sees a pointer in the comparison that it wrote itself
  auto operator<=>(const Scope&) const = default;
};

struct Mark {
  Scope scope;
  std::string row_key;
  Version version;
  bool deleted = false;
};

struct Pause {
  std::string endpoint;
  int64_t since_us = 0;  // wall time, microseconds since 1970
  std::string by, why;
};
// "since 2026-11-25T12:00:00Z by ann@box: the server moves"
std::string describe(const Pause& pause);

// An endpoint that takes nothing for now. Wall time, microseconds since 1970.
struct Parked {
  std::string endpoint;
  int64_t until_us = 0;
  // When a host last said so: one that was killed says nothing more. Negative: it has ended at that time.
  int64_t seen_us = 0;
  std::string reason, why;
};
// "until 2026-11-25T12:00:00Z, because …"
std::string describe(const Parked& parked);

struct Superseded {
  std::string message_id, key, routing_key;
  Version version;
  std::string by;     // what stands there instead, e.g. "1/4711" (epoch/seq); "" = unknown
  int64_t at_us = 0;  // wall time, microseconds since 1970
};

class Store {
 public:
  virtual ~Store() = default;

  // ---- guard and message ids ----

  struct Question {
    Scope scope;
    std::string row_key;     // "" = not guarded: only the message id is asked for
    std::string message_id;  // "" = not remembered
  };
  struct Answer {
    bool seen = false;
    std::optional<Version> newest;  // of the row's mark and the scope's last TRUNCATE
  };
  virtual std::vector<Answer> ask(const std::string& endpoint, std::span<const Question> questions,
                                  Deadline deadline) = 0;

  struct Done {
    std::vector<Mark> marks;      // newer ones replace older ones, never the reverse
    std::vector<Mark> truncates;  // row_key is not looked at
    std::vector<std::string> message_ids;
    milliseconds remember{0};  // how long the ids are kept
    bool empty() const { return marks.empty() && truncates.empty() && message_ids.empty(); }
  };
  virtual void record(const std::string& endpoint, const Done& done, Deadline deadline) = 0;

  // Forgets up to `most` message ids whose time has come, of whichever endpoint; how many it was.
  virtual size_t forget_seen(size_t most, Deadline deadline) = 0;

  // ---- paused ----

  virtual std::vector<Pause> pauses(Deadline deadline) = 0;
  virtual void pause(const Pause& pause, Deadline deadline) = 0;  // of a paused endpoint: keeps since, by, why
  virtual bool resume(const std::string& endpoint, Deadline deadline) = 0;  // false: it was not paused

  // ---- parked ----

  virtual std::vector<Parked> parked(Deadline deadline) = 0;
  virtual void set_parked(const Parked& parked, Deadline deadline) = 0;  // replaces what is there
  virtual void clear_parked(const std::string& endpoint, Deadline deadline) = 0;

  // ---- quota ----

  virtual std::vector<limits::Spent> spent(const std::string& endpoint, Deadline deadline) = 0;
  // Adds the amount (which may be negative) to its slot, and forgets the endpoint's slots before `keep_from_us`.
  virtual void spend(const std::string& endpoint, const limits::Spent& spent, int64_t keep_from_us,
                     Deadline deadline) = 0;

  // ---- under way ----

  // `place` tells APIs apart; `text` is whatever the kind that wrote it wants to know again.
  struct Call {
    std::string id;
    int64_t until_us = 0;  // wall time: by then it has ended
    std::string text;
  };
  virtual std::vector<Call> calls(const std::string& place, Deadline deadline) = 0;  // without their texts
  // nullopt: it is there no more.
  virtual std::optional<Call> call(const std::string& place, const std::string& id, Deadline deadline) = 0;
  virtual void note_call(const std::string& place, const Call& call, Deadline deadline) = 0;  // replaces its id's
  virtual void forget_call(const std::string& place, const std::string& id, Deadline deadline) = 0;

  // ---- superseded ----

  static constexpr size_t superseded_most = 10'000;  // of each endpoint; the oldest go first
  virtual void log_superseded(const std::string& endpoint, std::span<const Superseded> events, Deadline deadline) = 0;
  // Newest first.
  virtual std::vector<Superseded> superseded(const std::string& endpoint, size_t most, Deadline deadline) = 0;
  // Of every endpoint, those with one of these ordering keys: how many there are, and their erasure.
  virtual size_t superseded_of(std::span<const std::string> keys, Deadline deadline) = 0;
  virtual size_t erase_superseded(std::span<const std::string> keys, Deadline deadline) = 0;

  // Where it is, for messages; never a secret.
  virtual std::string place() const = 0;
};

// Where the `consumer:` section says the state is. Relative paths count from $STATE_DIRECTORY, which systemd sets, or
// else from the working directory.
std::string sqlite_path(const Settings& consumer);
// "SQLite file /var/lib/muskrat/…" or "PostgreSQL (state_dsn)".
std::string describe(const Settings& consumer);

// Opens the configured one, and makes its tables where they are missing.
std::unique_ptr<Store> open_store(const Settings& consumer, Deadline deadline);
// The same, but null where SQLite is configured and there is no file yet: for those who only look.
std::unique_ptr<Store> find_store(const Settings& consumer, Deadline deadline);
std::unique_ptr<Store> open_sqlite(const std::string& path);
std::unique_ptr<Store> open_postgres(const std::string& dsn, const std::string& password, Deadline deadline);

// Held by a host that keeps guards in a SQLite file, as long as it lives: there is one such host for a file, for two
// would take the same queues without knowing. Failure{stop} when another holds it. The kernel frees it with the
// process.
class HostLock {
 public:
  explicit HostLock(const std::string& database_path);

 private:
  FileLock lock_;
};

}  // namespace muskrat::state

// The outbox's functions as the relay calls them: one connection, one session.
//
// Used by the postgres source (standing by and leading) and by its reader. Its other
// side is sql/*.sql; docs/outbox-protocol.md is the contract. Errors are turned into
// what to do: LeaseLost (stand by again), Misconfigured (somebody has to act),
// Failure{reconnect}. Thread rule: the source's thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/pg.hpp"
#include "relay/lease.hpp"
#include "relay/sources/pg_snapshot.hpp"

namespace muskrat::postgres_outbox {

struct Hello {
  std::string version, server_encoding;
  bool in_recovery = false;
  int64_t epoch = 0;
  LeaseView lease;
  std::optional<std::string> last, current;
  int64_t current_id = 0;
  std::vector<int64_t> held;
  std::string history_problem;  // "" = the same history
};

struct Cursor {
  std::string last;
  std::optional<std::string> current;
  int64_t current_id = 0;
  std::vector<int64_t> held;
};

struct Tended {
  bool switched = false, freed = false;
  std::string waiting_for;
};

class Db {
 public:
  // Connects and sets the session up.
  static Db open(const pg::Address& address, milliseconds limit, const Stop& stop);

  // What the server says, checked: Misconfigured for what a person must mend.
  Hello hello();
  std::optional<int64_t> lease_take(const LeaseView& seen, const std::string& holder);
  void lease_beat(int64_t term);
  void lease_release(int64_t term);
  int64_t cursor_save(int64_t term, const Cursor& cursor);
  // From now on writers NOTIFY, until somebody waits in muskrat.read_new().
  void doze(int64_t term);
  Tended tend(int64_t term, int64_t switch_bytes, milliseconds retention);
  void listen();
  // True when a writer has rung since the last call.
  bool rung();
  // A small synchronous commit; false when the server warned that it is not replicated.
  bool commit_marker();

  // For the reader; SqlErrors come out as the exceptions above.
  pg::Result ask(const std::string& sql, std::span<const pg::Param> params, pg::Format format = pg::Format::text);
  // The same, of which the answer comes while we do something else: take_ahead() has it. Other statements may come
  // between; they wait for it. One at a time; one that is sent before the last was taken replaces it.
  // `beat`: as Patience has it, for whoever waits for this one.
  void send_ahead(const std::string& sql, std::span<const pg::Param> params, pg::Format format,
                  std::function<void()> beat = {});
  // The answer has come as far as the socket has been read: take_ahead() will not wait.
  bool ahead_is_here() const { return !awaited_ || connection_.answered(); }
  // Nothing when the server refused it: ask() again says why, or has it mended.
  std::optional<pg::Result> take_ahead();
  // Nobody will take it; `beat` is called no more.
  void forget_ahead();
  void copy_out(const std::string& query, const std::function<void(const pg::CopyRows::Fields&)>& row);
  pg::Connection& connection() { return connection_; }

  // While it lives a statement may take long, and `beat` is called every second that it is waited for. It must not use
  // this Db.
  class Patience {
   public:
    Patience(Db& db, const std::function<void()>& beat);
    ~Patience();
    Patience(const Patience&) = delete;
    Patience& operator=(const Patience&) = delete;

   private:
    Db& db_;
    milliseconds limit_before_;
  };

 private:
  explicit Db(pg::Connection connection, milliseconds limit) : connection_(std::move(connection)), limit_(limit) {}
  [[noreturn]] void explain(const pg::SqlError& error) const;
  Deadline deadline() const { return Deadline::in(limit_); }
  void receive_ahead();
  // ask() of what commits something; Failure names synchronous standbys where the deadline passed and there are any.
  pg::Result write(const std::string& sql, std::span<const pg::Param> params);

  pg::Connection connection_;
  milliseconds limit_;
  bool awaits_standbys_ = false;  // synchronous_standby_names is set, as of when the connection was made
  bool awaited_ = false;          // an answer that was sent for ahead
  std::function<void()> ahead_beat_;
  std::optional<pg::Result> ahead_;
};

// "{1,2,3}" and back.
std::string array_literal(const std::vector<int64_t>& ids);
std::vector<int64_t> parse_ids(std::string_view literal);

}  // namespace muskrat::postgres_outbox

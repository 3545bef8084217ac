// The outbox in MySQL or MariaDB as the relay and the operator's verbs ask for it.
//
// Its other side is sql/mysql/outbox.sql. Used by the mysql source and by the CLI
// (check, status, accept). Errors are turned into what to do: LeaseLost, Misconfigured
// (somebody has to act), Failure{reconnect}; deadlocks and lock waits are tried again
// here. Thread rule: one owner.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/mysql.hpp"
#include "relay/id_gaps.hpp"
#include "relay/lease.hpp"

namespace muskrat::mysql_outbox {

struct Hello {
  int64_t version = 0, epoch = 0;
  LeaseView lease;
  std::vector<int64_t> held;
  bool read_only = false;
  std::string server;           // which one this is
  std::string history_problem;  // "" = the one on which the relay published last
  std::string durability;       // "" = a commit is on the disk before it is answered
  std::string warning;          // other settings that weaken a promise
};

// The lease as it was taken. `muskrat accept` changes both.
struct Claim {
  int64_t term = 0, epoch = 0;
};

// What became of the events that were settled since the last mark.
struct Mark {
  std::vector<int64_t> confirmed;
  std::vector<int64_t> held;
  bool keep = false;    // move the confirmed to the history instead of deleting them
  int64_t highest = 0;  // id that was read
};

class Db {
 public:
  static Db open(const mysql::Address& address, milliseconds limit, const Stop* stop = nullptr);

  // Comes first on a connection: it learns which server this is, and of which version the tables are.
  Hello hello();
  // Does nothing, but needs every privilege that a relay needs: Misconfigured when one is missing.
  void try_privileges();
  std::optional<int64_t> lease_take(const Hello& seen, const std::string& holder);
  // Seconds since the last sign of life; tables of before version 3 do not say.
  std::optional<int64_t> silent_s();
  void lease_release(const Claim& claim);
  // These two throw LeaseLost when the lease is not as it was taken any more, Misconfigured when the session is on
  // another server.
  void lease_beat(const Claim& claim);
  // One transaction: checks the claim, beats, saves the held ids, takes the confirmed out of the outbox. When it
  // returns, everything that was visible before it is as durable as the server's settings make a commit.
  void mark(const Claim& claim, const Mark& mark);
  // Misconfigured when the next id would not be above this one, which was read.
  void require_ids_beyond(int64_t highest);
  // Misconfigured when a plain query is answered by another server than the one that hello() met.
  void require_one_server();
  // Those of which the server that is written has no row; none while somebody holds one of the rows locked.
  std::vector<int64_t> missing(std::span<const int64_t> ids);
  // True when no open transaction has written a row with an id in one of the ranges (nor any other row is there).
  bool nothing_in(std::span<const IdGaps::Range> ranges);
  // Deletes what left the outbox longer ago, at most so many rows; returns how many.
  size_t history_trim(milliseconds retention, size_t most);
  // The operator's word that this server's history is the one to publish; the new epoch. The lease is taken from
  // whoever had it.
  int64_t accept(const std::string& note);

  mysql::Result ask(std::string_view sql, std::span<const mysql::Param> params = {});
  mysql::Connection& connection() { return connection_; }
  const mysql::Connection& connection() const { return connection_; }

 private:
  Db(mysql::Connection connection, milliseconds limit) : connection_(std::move(connection)), limit_(limit) {}
  template <typename Act>
  auto guarded(Act act);
  [[noreturn]] void explain(const mysql::SqlError& error) const;
  void mark_once(const Claim& claim, const Mark& mark);
  bool beat(const Claim& claim, const Mark* mark);
  int64_t next_id();
  [[noreturn]] void lost(const Claim& claim);
  std::string whose(const Claim& claim) const;
  Deadline deadline() const { return Deadline::in(limit_); }

  mysql::Connection connection_;
  milliseconds limit_;
  std::string identity_;        // SQL by which a server says which one it is
  std::string server_;          // what this one says
  std::string beat_;            // SQL: what a sign of life sets
  bool tells_when_ = false;     // such signs have their time
  bool keeps_highest_ = false;  // the tables say which id was published last
};

// "1,2,3" and back.
std::string id_list(std::span<const int64_t> ids);
std::vector<int64_t> parse_id_list(std::string_view text);

}  // namespace muskrat::mysql_outbox

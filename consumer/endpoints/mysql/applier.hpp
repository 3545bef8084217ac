// Applies rows in one transaction, and says of each event what became of it.
//
// Used by the mysql endpoint. Three round trips: the guard's rows are locked and read; what they let pass is written,
// with the new marks; COMMIT, apart, so that a server whose client has given up commits nothing. MySQL has no statement
// that does all of it, as the postgres endpoint's does. A refused statement leaves nothing behind and is thrown as
// mysql::SqlError; what to do about it is the endpoint's. Thread rule: its connection's thread.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/mysql.hpp"
#include "consumer/endpoint.hpp"
#include "consumer/endpoints/mysql/state.hpp"
#include "consumer/endpoints/mysql/target.hpp"
#include "consumer/endpoints/sql/rows.hpp"

namespace muskrat::mysql_target {

class Applier {
 public:
  Applier(mysql::Connection& connection, State& state, const std::vector<sql::Route>& routes,
          const std::vector<Target>& targets)
      : connection_(connection), state_(state), routes_(routes), targets_(targets) {}

  // Sets outcomes[event] of every event in `rows`: done, repeated or superseded.
  void apply(std::span<const Event* const> batch, const std::vector<const sql::Row*>& rows,
             std::vector<Outcome>& outcomes, Deadline deadline);

  // TRUNCATE at the source: empties the tables of the upsert routes that take it. `added`: its rows of routes that
  // append.
  Outcome truncate(std::span<const Event* const> batch, size_t truncate, const std::vector<const sql::Row*>& added,
                   Deadline deadline);

 private:
  using Mark = std::pair<int64_t, int64_t>;          // epoch, seq
  using GuardKey = std::pair<int64_t, std::string>;  // scope, row key
  struct Marks {
    std::map<GuardKey, Mark> rows, moved;
    std::map<GuardKey, bool> deleted;
    std::map<int64_t, Mark> truncated;
    std::set<GuardKey> seen, fresh;  // scope, message id
  };

  std::vector<int64_t> scopes_of(const Event& event, const sql::Row& row, Deadline deadline);
  std::vector<size_t> siblings_of(size_t route) const;
  Marks lock_marks(const std::vector<const sql::Row*>& rows, const std::vector<std::vector<int64_t>>& scopes,
                   Deadline deadline);
  static Outcome::Fate judge(const Event& event, const sql::Row& row, const std::vector<int64_t>& scopes, Marks& marks);
  // Adds what it takes to `statements`; with columns left out it runs them first, and sees whether the row stands.
  void write_row(const sql::Row& row, std::string& statements, Deadline deadline);
  std::string marks_written(const Marks& marks) const;
  std::string same_key(const sql::Row& row, const char* alias) const;
  std::string value(const sql::Row& row, size_t column) const;
  std::string text(const std::string& literal) const { return connection_.quote_literal(literal); }
  Outcome::Fate truncate_one(const Event& event, const Target& target, int64_t scope, Deadline deadline);
  template <typename Act>
  auto in_transaction(Act act, Deadline deadline);

  mysql::Connection& connection_;
  State& state_;
  const std::vector<sql::Route>& routes_;
  const std::vector<Target>& targets_;
};

}  // namespace muskrat::mysql_target

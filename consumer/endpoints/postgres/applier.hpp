// Applies rows in one transaction, and says of each event what became of it.
//
// Used by the postgres endpoint. One round trip and one transaction: a statement for each group, or for each row of a
// small one.
// A refused statement leaves nothing behind and is thrown as pg::SqlError; what to do about it is the endpoint's.
// Thread rule: its connection's thread.
#pragma once

#include <span>
#include <vector>

#include "common/pg.hpp"
#include "consumer/endpoint.hpp"
#include "consumer/endpoints/postgres/statements.hpp"

namespace muskrat::postgres {

class Applier {
 public:
  Applier(pg::Connection& connection, State& state, const std::vector<Route>& routes,
          const std::vector<Target>& targets)
      : connection_(connection), state_(state), routes_(routes), targets_(targets) {}

  // Sets outcomes[event] of every event in `rows`: done, repeated or superseded.
  void apply(std::span<const Event* const> batch, const std::vector<const Row*>& rows, std::vector<Outcome>& outcomes,
             Deadline deadline);

  // TRUNCATE at the source: empties the tables of the upsert routes that take it. `added`: its rows of routes that
  // append.
  Outcome truncate(std::span<const Event* const> batch, size_t truncate, const std::vector<const Row*>& added,
                   Deadline deadline);

  // The column that this row's value cannot be cast for; "" when casting is not what fails.
  std::string column_at_fault(const Row& row, Deadline deadline);

 private:
  // One statement.
  struct Request {
    const Group* group = nullptr;
    size_t first_row = 0;  // of the group's rows
    Form form = Form::arrays;
    std::string sql;
    std::vector<std::optional<std::string>> values;  // of its parameters
  };
  std::vector<Group> groups_of(const std::vector<const Row*>& rows) const;
  std::vector<Request> requests_of(std::span<const Event* const> batch, const Group& group, size_t few,
                                   Deadline deadline);
  Request in_arrays(std::span<const Event* const> batch, const Group& group, Deadline deadline);
  Request of_one_row(const Event& event, const Group& group, size_t row, int scope);
  std::vector<int> scopes_of(const Event& event, const Row& row, Deadline deadline);
  std::vector<size_t> siblings_of(size_t route) const;
  Outcome::Fate truncate_one(const Event& event, const Target& target, int scope, Deadline deadline);
  void transact(const std::vector<Request>& requests, std::vector<pg::Result>& results, Deadline deadline,
                bool again = false);

  pg::Connection& connection_;
  State& state_;
  const std::vector<Route>& routes_;
  const std::vector<Target>& targets_;
};

}  // namespace muskrat::postgres

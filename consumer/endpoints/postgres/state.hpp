// What the endpoint remembers in the target database itself, so that it commits with the effect: guards and message
// ids.
//
//   scope  what a mark is about: (endpoint, target table, source, source object, route) → id; and its last TRUNCATE
//   guard  (scope, row key) → the newest (epoch, seq) applied; outlives the row, a delete's mark is a tombstone
//   seen   (scope, message id): events appended, for as long as `seen_for`
//
// Used by the postgres endpoint. Names and DDL stand in state.cpp and in docs/endpoints.md.
// Thread rule: belongs to its connection's thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/event.hpp"
#include "common/pg.hpp"

namespace muskrat::postgres {

class State {
 public:
  State(std::string schema, std::string endpoint) : schema_(std::move(schema)), endpoint_(std::move(endpoint)) {}

  // Makes what is missing. Failure{reconnect} with the statements to run when this role may not.
  void prepare(pg::Connection& connection, Deadline deadline);

  // The id of a scope, made on first use; a new route of a known table inherits its tombstones.
  int scope(pg::Connection& connection, const std::string& target, const std::string& source, const std::string& object,
            const std::string& route, Deadline deadline);

  // Forgets message ids older than `age`, some thousands at a time; true when there may be more.
  bool forget_seen(pg::Connection& connection, milliseconds age, Deadline deadline);

  const std::string& scopes() const { return scopes_; }
  const std::string& guard() const { return guard_; }
  const std::string& seen() const { return seen_; }

 private:
  std::string ddl() const;

  const std::string schema_, endpoint_;
  std::string quoted_schema_, scopes_, guard_, seen_;  // quoted, for statements
  std::map<std::string, int> ids_;
};

}  // namespace muskrat::postgres

// A route: which events go into which table, and how.
//
// Used by the endpoints postgres and mysql; read from the option `routes` and checked at load. Pure. Thread rule:
// immutable.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/event.hpp"
#include "common/mapping.hpp"
#include "common/options.hpp"

namespace muskrat::sql {

// What every endpoint into tables takes.
Option routes_option();
Option seen_for_option();

struct Route {
  enum class Mode { upsert, append };
  std::string name;                   // tells the routes of one table apart; "" when there is one alone
  std::vector<std::string> bindings;  // AMQP patterns
  std::string table;                  // as written, perhaps schema-qualified
  std::vector<size_t> key;            // indexes into fields.names()
  Mode mode = Mode::upsert;
  Condition when;  // events for which it does not hold pass this route by
  FieldTable fields;

  bool takes(const Event& event) const;
};

// What it finds wrong is appended to `problems`.
std::vector<Route> read_routes(const Settings& settings, std::vector<Problem>& problems);

}  // namespace muskrat::sql

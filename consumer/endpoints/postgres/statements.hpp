// The SQL of the postgres endpoint: one statement applies a whole group of rows, guard and effect together.
//
// Used by the postgres endpoint's Applier. Each statement takes its rows as arrays (one parameter a column), lets the
// guard or the memory of message ids pass what is new, applies that, and answers with one row (n, fate) for each row
// that was passed over: 'r' repeated, 's' superseded. Pure text. Thread rule: immutable.
#pragma once

#include <string>

#include "consumer/endpoints/postgres/state.hpp"
#include "consumer/endpoints/postgres/target.hpp"
#include "consumer/endpoints/sql/rows.hpp"

namespace muskrat::postgres {

using sql::Effect;
using sql::Group;
using sql::Row;

// Parameters, in order: n int[]; guarded: scope int[], identity text[], and for upsert and remove epoch bigint[], seq
// bigint[]; then a text[] for each column of sql::columns_of(). `siblings`: how many scopes a remove marks.
std::string statement_of(const Group& group, const Route& route, const Target& target, const State& state,
                         size_t siblings);

}  // namespace muskrat::postgres

// The SQL of the postgres endpoint: one statement applies a row or a whole group of rows, guard and effect together.
//
// Used by the postgres endpoint's Applier. Each statement takes its rows as arrays (one parameter a column) or one row
// as plain values, lets the guard or the memory of message ids pass what is new, applies that, and answers with one row
// (n, fate) for each row that was passed over: 'r' repeated, 's' superseded. Pure text. Thread rule: immutable.
#pragma once

#include <string>

#include "consumer/endpoints/postgres/state.hpp"
#include "consumer/endpoints/postgres/target.hpp"
#include "consumer/endpoints/sql/rows.hpp"

namespace muskrat::postgres {

using sql::Effect;
using sql::Group;
using sql::Row;

// A plan for one row is good for any other, so PostgreSQL may keep it; one for arrays must know how long they are.
enum class Form { arrays, one_row };

// Parameters, in order: arrays: n int[]; guarded: scope int, identity text, and for upsert and remove epoch bigint, seq
// bigint; then a text for each column of sql::columns_of(); each an array of its type where the form is arrays. The n
// of one row is 0. `siblings`: how many scopes a remove marks; one row has one.
std::string statement_of(const Group& group, const Route& route, const Target& target, const State& state,
                         size_t siblings, Form form);

}  // namespace muskrat::postgres

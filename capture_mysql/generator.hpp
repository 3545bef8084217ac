// The triggers of an attachment, as SQL. MySQL has no way to walk a row, so each column is spelled out.
//
// Used by cli/attach_mysql.cpp, which runs them, and by the unit tests. Neighbours: value_sql.hpp writes one value,
// body_sql.hpp the body, condition.hpp the condition; extension/ is the same for PostgreSQL, whose rules (an update
// that changes the key, or whether the condition holds) are followed here. Pure text from plain values: no connection,
// no state, any thread. What it does not do: look at the server (cli/attach_mysql_checks.cpp).
#pragma once

#include <string>
#include <vector>

#include "capture_mysql/table.hpp"

namespace muskrat::capture_mysql {

// Larger bodies lose their largest columns.
inline constexpr size_t max_body_bytes = size_t{8} << 20;

struct Trigger {
  std::string name;  // unique in the table's database; another definition has another name
  std::string sql;   // CREATE TRIGGER …
};

struct Plan {
  std::vector<Trigger> triggers;
  // The columns that are named, a line each: what `muskrat attached` compares with the table of later.
  std::vector<std::string> columns_seen;
};

// One row told outside a trigger, as expressions over `row`.
struct RowSql {
  std::string ordering_key, body;
  std::string omitted;    // the JSON array of what the body lacks, or SQL NULL
  std::string condition;  // "" = every row
};
RowSql row_sql_of(const Table& table, const Options& options, const std::string& row);

// Refused: what is wrong with the options, or with the table for them.
Plan plan_of(const Table& table, const Options& options);

// What became of the columns since: one sentence each. `gone` are named by triggers, so that writes fail.
struct Drift {
  std::vector<std::string> gone, changed, added;
  bool any() const { return !gone.empty() || !changed.empty() || !added.empty(); }
};
Drift drift_of(const Table& now, const Options& options, const std::vector<std::string>& columns_seen);

}  // namespace muskrat::capture_mysql

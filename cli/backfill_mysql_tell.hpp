// Writes the events of rows that are locked into the outbox of MySQL and MariaDB, many in one round trip.
//
// Used by backfill_mysql_step.cpp and verify_mysql.cpp. Neighbour: backfill_mysql_sql.hpp has the statements. Thread
// rule: its connection's. What it does not do: locks and transactions, which the caller has.
#pragma once

#include <set>

#include "cli/backfill_mysql_sql.hpp"
#include "common/mysql.hpp"

namespace muskrat::cli {

struct ToldRows {
  int64_t events = 0;
  int64_t first_id = 0;  // of them in the outbox; 0 where there are none
};

// For each part those of the rows that it means; of a thousand rows in the order of the key. Throws as Connection::exec
// does.
ToldRows tell_rows(mysql::Connection& db, const BackfillSql& sql, const std::set<RowKey>& locked);

}  // namespace muskrat::cli

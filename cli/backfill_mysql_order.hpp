// From what was asked for to the statements of a backfill in MySQL and MariaDB: the table as it is, the attachments
// meant, the key to walk by; and everything that would be in the way, said before a row is told.
//
// Used by backfill_mysql.cpp when a backfill is planned and begun, by backfill_mysql_step.cpp when one goes on, and by
// verify_mysql.cpp. Neighbours: mysql_catalog.hpp reads the table, attach_mysql.hpp knows the attachments. Thread rule:
// the main thread.
#pragma once

#include <string>
#include <vector>

#include "cli/backfill_mysql_sql.hpp"
#include "cli/backfill_source.hpp"
#include "common/mysql.hpp"

namespace muskrat::cli {

// Refused: the table, the attachment or the condition cannot be used; with the reason.
BackfillSql backfill_sql_for(mysql::Connection& db, const BackfillOrder& order);

std::vector<std::string> attachment_names(const BackfillSql& sql);

// The first so many columns of a row: those of BackfillSql::next, lock and last_key begin with its key.
RowKey key_of(const mysql::Result& rows, int row, size_t columns);

}  // namespace muskrat::cli

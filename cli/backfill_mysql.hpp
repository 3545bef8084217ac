// The class behind backfill_source.hpp for MySQL and MariaDB, where no functions in the database would do it.
//
// Used by backfill_source.cpp. Neighbours: capture_mysql/ writes the expressions that triggers use too,
// mysql_catalog.hpp reads the table, sql/mysql/backfill.sql has the tables. Thread rule: the main thread.
#pragma once

#include <memory>
#include <string>

#include "cli/backfill_source.hpp"

namespace muskrat::cli {

std::unique_ptr<BackfillSource> open_mysql_backfill(const Component& source, const std::string& dsn);

}  // namespace muskrat::cli

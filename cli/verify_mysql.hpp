// The class behind verify_source.hpp for MySQL and MariaDB, where the expressions of the generated triggers say what a
// row's event would be.
//
// Used by verify_source.cpp. Neighbours: backfill_mysql_order.hpp finds table, key and attachments,
// verify_mysql_keys.hpp looks rows up by the endpoint's keys. Thread rule: the main thread.
#pragma once

#include <memory>
#include <string>

#include "cli/verify_source.hpp"

namespace muskrat::cli {

std::unique_ptr<VerifySource> open_mysql_verify(const Component& source, const std::string& dsn,
                                                const std::string& table, const std::string& attachment);

}  // namespace muskrat::cli

// TABLE or SOURCE.TABLE on the command line: which source is meant, and the table as SQL has it.
//
// Used by backfill and verify. Thread rule: the main thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/config.hpp"

namespace muskrat::cli {

// `kinds`: of the sources that will do; where one alone is of them, it need not be named. `source`: what --source says,
// or "". `table` loses the source's name where it has one. UsageError when it is not clear which source is meant.
const Component& source_of_table(const Config& config, std::span<const std::string_view> kinds,
                                 const std::string& source, std::string& table);

}  // namespace muskrat::cli

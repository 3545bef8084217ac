// TABLE or SOURCE.TABLE on the command line: which source is meant, and the table as SQL has it.
//
// Used by backfill and verify. Thread rule: the main thread.
#pragma once

#include <string>

#include "common/config.hpp"

namespace muskrat::cli {

// `source`: what --source says, or "". `table` loses the source's name where it has one. UsageError when it is not
// clear which source is meant.
const Component& source_of_table(const Config& config, const std::string& source, std::string& table);

}  // namespace muskrat::cli

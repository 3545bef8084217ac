// The newest version of Muskrat's tables in MySQL that this program knows: what sql/mysql/version.sql sets.
//
// Used by the CLI's install and check. Thread rule: a constant.
#pragma once

#include <cstdint>

namespace muskrat::mysql_outbox {

inline constexpr int64_t schema_version = 3;

}  // namespace muskrat::mysql_outbox

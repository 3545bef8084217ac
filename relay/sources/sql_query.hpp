// The source kind `sql-query`: any SELECT of a PostgreSQL database, on a schedule. See docs/scheduled-sources.md.
#pragma once

#include "relay/sources.hpp"

namespace muskrat::sql_query {

extern const SourceKind kind;

}  // namespace muskrat::sql_query

// The source kind `mysql`: the outbox that sql/mysql keeps in a MySQL or MariaDB server.
#pragma once

#include "relay/sources.hpp"

namespace muskrat::mysql_outbox {

extern const SourceKind kind;

}  // namespace muskrat::mysql_outbox

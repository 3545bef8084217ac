// The source kind `postgres`: the outbox that Muskrat's extension keeps in a PostgreSQL database.
//
// Used by relay/sources.cpp, which lists it. This file connects, checks and stands
// by; postgres_outbox_leader leads. Thread rule: see relay/sources.hpp.
#pragma once

#include "relay/sources.hpp"

namespace muskrat::postgres_outbox {

extern const SourceKind kind;

}  // namespace muskrat::postgres_outbox

// Inserts rows into a segment and its indexes, as the executor would, without it.
//
// Used by outbox.cpp (one row at once) and gathered.cpp (many). Locks are held already (segment.hpp). Regime: no
// exceptions, nothing with a destructor, ERROR by ereport.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup.h"
}

#include "extension/segment.hpp"

// The rows get their places (t_self).
void insert_rows(const Segment& segment, HeapTuple* rows, int count);

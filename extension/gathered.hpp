// Rows of the outbox that wait to be inserted together: what one statement's triggers told, up to its end.
//
// Used by outbox.cpp. PostgreSQL inserts a page full of rows with one lock and one record of WAL; row by row each costs
// both (ADR 16). Rows are gathered only while a statement's triggers run under our hook (ExecutorFinish, COPY), which
// inserts them when it ends, so that whoever looks after the statement sees them; and only by the subtransaction that
// began: a savepoint inside of a trigger writes its own at once. An ERROR drops what its (sub)transaction has gathered,
// as it would have undone the rows.
//
// Their ids are drawn several at a time, which is right because every row that the statement changed is locked before
// its triggers run. What may have come to lock others since (another statement inside of a trigger, an event that is
// written past us) ends that: ids are drawn anew.
//
// Memory: 128 rows or 128 KB. Thread rule: a backend has one thread. Regime: no exceptions, nothing with a destructor,
// ERROR by ereport.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup.h"
}

#include "extension/segment.hpp"

// What a row of the outbox is formed with.
struct RowPlace {
  const Segment* segment;
  int64 id;
  MemoryContext memory;
};

// Installs the hooks and callbacks; called once from outbox_init.
void gathered_init();

// The place of a row that a statement's trigger tells now, to be given to gather(). False: it must be written at once.
bool gathered_place(RowPlace* place);

// Takes the row, formed in that place; inserts all when they have become many.
void gather(HeapTuple row);

// A row is about to be written at once: ids that were drawn ahead are given up, for later rows are to have later ones.
void gathered_passed();

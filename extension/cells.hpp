// Where the outbox's relations are, and its three sequences: two cells that are read off their page without a snapshot,
// and the ids. SQL sets the cells (sql/segments.sql, sql/lease.sql); segment.cpp and doorbell.cpp read them.
//
// Thread rule: a backend has one thread. Regime: no exceptions, nothing with a destructor, ERROR by ereport.
//
// It does not: use nextval(). That would change what the application's lastval() returns, and obey a CACHE or INCREMENT
// that somebody altered.
#pragma once

extern "C" {
#include "postgres.h"

#include "storage/buf.h"
#include "utils/rel.h"
}

constexpr int segment_count = 3;

struct OutboxRelations {
  uint64 generation;  // another one each time they are looked up
  Oid segments[segment_count];
  Oid outbox_id;
  Oid current_segment;
  Oid doorbell;
};

// Registers the relcache callback that forgets the OIDs when one of the relations changes or is dropped.
void cells_init();

// The relations of this database, found by name and remembered; null when the extension is not installed (any more).
const OutboxRelations* outbox_relations();

// The cell's value. False when the sequence is gone; never raises for that, so PRE_COMMIT may call it.
bool cell_read(Oid sequence, int64* value);

// Where a cell was found last, and among which relations.
struct CellPlace {
  Buffer hint;
  uint64 generation;  // 0: never
};

// The same for a transaction that holds the sequence's lock already: quicker while nothing was altered.
bool cell_read(Oid sequence, CellPlace* place, int64* value);

// The same where the sequence is open; `hint` is where the caller found its page last time.
int64 cell_read_again(Relation sequence, Buffer* hint);

// Sets the cell, as setval does it. The transaction must have the sequence's lock.
void cell_write(Relation sequence, int64 value);

// The next id (the first of `count` in a row), logged as nextval logs it: 32 ahead, so that a crash skips ids and never
// repeats one. The transaction must have its xid and the sequence's lock.
int64 id_draw(Relation sequence, int count = 1);

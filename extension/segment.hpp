// The segment that this transaction writes to: chosen and examined once, then remembered for as long as its lock is
// certainly held.
//
// Used by outbox.cpp for each event. cells.cpp says where the outbox's relations are; docs/outbox-protocol.md says why
// a segment under ROW EXCLUSIVE cannot be truncated, and ADR 8 why it need not be looked at again for each event.
//
// What is remembered is OIDs, numbers and a copy of the columns' description, never an open relation: nothing can
// dangle when a savepoint is rolled back, the extension dropped or the table altered. That the lock is held is
// forgotten at the end of the transaction and when any savepoint is rolled back (which may have released it); what was
// found out, when the relcache says that one of the outbox's relations changed.
//
// Thread rule: a backend has one thread. Regime: no exceptions, nothing with a destructor, ERROR by ereport.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/rel.h"
}

// The columns that this library knows to write.
enum OutboxField {
  FIELD_ID,
  FIELD_XID,
  FIELD_CAPTURED_AT,
  FIELD_MESSAGE_ID,
  FIELD_OP,
  FIELD_ROUTING_KEY,
  FIELD_ORDERING_KEY,
  FIELD_BODY,
  FIELD_HEADERS,
  FIELD_COUNT
};

constexpr int most_segment_indexes = 16;

// Indexes that a segment may have: one entry for each row, or for each page (pages.hpp).
enum class SegmentIndex { by_row, by_page, other };
SegmentIndex segment_index_kind(Relation index);

struct Segment {
  int number;  // what the cell muskrat.current_segment says: 1 to 3
  Oid cell;
  Oid table;
  Oid ids;  // the sequence muskrat.outbox_id
  Oid indexes[most_segment_indexes];
  bool by_page[most_segment_indexes];
  int index_count;
  TupleDesc descriptor;  // a copy, kept as long as what was found out
  int column_count;
  int16 field_of[MaxHeapAttributeNumber];  // OutboxField by column; -1: not one of ours, gets NULL
};

// Registers the callbacks that forget; called once from outbox_init.
void segment_init();

// The segment, with ROW EXCLUSIVE on it, its indexes and the sequence held to the end of the transaction (or of the
// savepoint). Valid until the next call. ERROR when the extension is not installed, or its table or index was altered
// beyond use.
const Segment& segment_held();

// Where a segment's columns are, by OutboxField, for those who read it. ERROR when one is missing or of another type.
void segment_columns(Relation segment, AttrNumber column_of[FIELD_COUNT]);

// For rows that waited, under its lock, to be written to `segment` (as it was returned by segment_held, then of
// `table`): looks at it again if something about it has changed. False when this transaction has dropped it meanwhile;
// ERROR when it is there and the outbox's no more.
bool segment_is_there(const Segment& segment, Oid table);

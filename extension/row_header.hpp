// What a row's header says of who wrote it: as it stands in the page by now, not when the trigger was queued.
//
// Used by newest.cpp and moves.cpp, for rows of heap tables that were fetched from there.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
}

inline bool is_heap(Relation relation) { return relation->rd_tableam == GetHeapamTableAmRoutine(); }

// Whether this transaction deleted or replaced the row. An aborted savepoint's xid is not "current": what it did to the
// row does not count.
inline bool we_wrote_over(HeapTupleHeader row) {
  if (row->t_infomask & HEAP_XMAX_INVALID || HEAP_XMAX_IS_LOCKED_ONLY(row->t_infomask)) return false;
  TransactionId writer = HeapTupleHeaderGetUpdateXid(row);
  return TransactionIdIsValid(writer) && TransactionIdIsCurrentTransactionId(writer);
}

struct RowHeader {
  ItemPointerData place;
  HeapTupleHeaderData row;
};

// Copied under the page's lock: somebody else may lock the row meanwhile, for a foreign key, and what says so is not
// written at one stroke.
inline RowHeader header_of(TupleTableSlot* slot) {
  bool must_free;
  const HeapTupleData* tuple = ExecFetchSlotHeapTuple(slot, false, &must_free);
  const Buffer buffer =
      TTS_IS_BUFFERTUPLE(slot) ? reinterpret_cast<BufferHeapTupleTableSlot*>(slot)->buffer : InvalidBuffer;
  RowHeader header;
  if (BufferIsValid(buffer)) LockBuffer(buffer, BUFFER_LOCK_SHARE);
  header.place = tuple->t_self;
  memcpy(&header.row, tuple->t_data, SizeofHeapTupleHeader);
  if (BufferIsValid(buffer)) LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
  return header;
}

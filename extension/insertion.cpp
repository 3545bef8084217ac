#include "extension/insertion.hpp"

extern "C" {
#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "utils/memutils.h"
#include "utils/rel.h"
}

namespace {

bool begins_page(HeapTuple* rows, int r) {
  return r == 0 || ItemPointerGetBlockNumber(&rows[r]->t_self) != ItemPointerGetBlockNumber(&rows[r - 1]->t_self);
}

// Rows of one transaction.
void insert_into_index(Relation table, Oid index_oid, bool by_page, HeapTuple* rows, int count) {
  Relation index = index_open(index_oid, NoLock);
  const FormData_pg_index* form = index->rd_index;
  for (int r = 0; form->indisready && r < count; r++) {
    if (by_page && !begins_page(rows, r)) continue;
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    for (int i = 0; i < form->indnatts; i++)
      values[i] = heap_getattr(rows[r], form->indkey.values[i], RelationGetDescr(table), &nulls[i]);
    index_insert(index, values, nulls, &rows[r]->t_self, table, form->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
                 false, nullptr);
  }
  index_close(index, NoLock);
}

// heap_multi_insert wants slots. They live as long as the call, so that an ERROR leaves none with a row in it.
void insert_many(Relation table, TupleDesc descriptor, HeapTuple* rows, int count) {
  static MemoryContext context = nullptr;
  if (context == nullptr)
    context = AllocSetContextCreate(TopMemoryContext, "muskrat outbox slots", ALLOCSET_DEFAULT_SIZES);
  MemoryContextReset(context);
  MemoryContext caller = MemoryContextSwitchTo(context);
  auto** slots = static_cast<TupleTableSlot**>(palloc(sizeof(TupleTableSlot*) * count));
  for (int i = 0; i < count; i++) {
    slots[i] = MakeTupleTableSlot(descriptor, &TTSOpsHeapTuple);
    // "To be freed" spares a copy; the row is its giver's all the same, for the slot is never cleared.
    ExecStoreHeapTuple(rows[i], slots[i], true);
  }
  heap_multi_insert(table, slots, count, GetCurrentCommandId(true), 0, nullptr);
  for (int i = 0; i < count; i++) rows[i]->t_self = slots[i]->tts_tid;
  MemoryContextSwitchTo(caller);
  MemoryContextReset(context);
}

}  // namespace

void insert_rows(const Segment& segment, HeapTuple* rows, int count) {
  Relation table = table_open(segment.table, NoLock);
  if (count == 1)
    heap_insert(table, rows[0], GetCurrentCommandId(true), 0, nullptr);
  else
    insert_many(table, segment.descriptor, rows, count);
  for (int i = 0; i < segment.index_count; i++)
    insert_into_index(table, segment.indexes[i], segment.by_page[i], rows, count);
  table_close(table, NoLock);
}

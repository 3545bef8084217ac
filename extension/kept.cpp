// muskrat.keep_found(): after a row of a segment has gone, or become another version, the others of its page are found
// still.
//
// An index by page has one entry for the events of a statement that lie on a page (pages.hpp). When the row that it
// points at is deleted, VACUUM takes the entry away; so whoever deletes gives every row that is left one of its own, if
// it has none. Nothing of muskrat's deletes what is yet to be read; this is for people, and for what they restore.
//
// Regime: no exceptions, nothing with a destructor, ERROR by ereport.
#include "extension/pages.hpp"

extern "C" {
#include "access/stratnum.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
}

namespace {

// An entry that a page's row may have: by the offset of the row, or of the first of its versions on the page.
struct Entry {
  bool wanted, there;
  FullTransactionId xid;
};

struct PageEntries {
  BlockNumber page;
  Entry at[MaxHeapTuplesPerPage + 1];
};

// Somebody may see it when this transaction has committed, and whoever wrote it has written its entries. Not: what is
// dead, now or soon, for whoever sees it yet sees the row that goes now as well, whose entry stays as long; what this
// transaction has deleted before, for no rollback undoes that alone; what another is still writing, whose own rows
// nobody can have deleted.
bool stays(HeapTuple row, TransactionId seen_by_all, Buffer buffer) {
  switch (HeapTupleSatisfiesVacuum(row, seen_by_all, buffer)) {
    case HEAPTUPLE_LIVE:
      return true;
    case HEAPTUPLE_INSERT_IN_PROGRESS:
      return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data));
    case HEAPTUPLE_DELETE_IN_PROGRESS:
      return !TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(row->t_data));
    default:
      return false;
  }
}

void look_for_rows(const OpenSegment& segment, PageEntries* entries) {
  const TransactionId seen_by_all = GetOldestNonRemovableTransactionId(segment.table);
  const Buffer buffer = ReadBuffer(segment.table, entries->page);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  const Page page = BufferGetPage(buffer);
  OffsetNumber first_version[MaxHeapTuplesPerPage];
  heap_get_root_tuples(page, first_version);
  const auto last = static_cast<OffsetNumber>(PageGetMaxOffsetNumber(page));
  for (OffsetNumber at = FirstOffsetNumber; at <= last; at = OffsetNumberNext(at)) {
    if (!ItemIdIsNormal(PageGetItemId(page, at)) || !OffsetNumberIsValid(first_version[at - 1])) continue;
    HeapTupleData row;
    row_at(segment, page, entries->page, at, &row);
    if (!stays(&row, seen_by_all, buffer)) continue;
    bool null;
    const Datum xid = heap_getattr(&row, segment.column_of[FIELD_XID], RelationGetDescr(segment.table), &null);
    if (!null) entries->at[first_version[at - 1]] = Entry{true, false, DatumGetFullTransactionId(xid)};
  }
  UnlockReleaseBuffer(buffer);
}

// Dead ones too: an index may not have the same entry twice.
void look_for_entries(const OpenSegment& segment, Relation index, FullTransactionId xid, PageEntries* entries) {
  ScanKeyData key;
  ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_XID8EQ, FullTransactionIdGetDatum(xid));
#if PG_VERSION_NUM >= 180000
  IndexScanDesc scan = index_beginscan(segment.table, index, SnapshotAny, nullptr, 1, 0);
#else
  IndexScanDesc scan = index_beginscan(segment.table, index, SnapshotAny, 1, 0);
#endif
  index_rescan(scan, &key, 1, nullptr, 0);
  scan->ignore_killed_tuples = false;
  // Equal keys come in the order of their places.
  while (ItemPointerData* place = index_getnext_tid(scan, ForwardScanDirection)) {
    CHECK_FOR_INTERRUPTS();
    if (ItemPointerGetBlockNumber(place) > entries->page) break;
    Entry* entry = &entries->at[ItemPointerGetOffsetNumber(place)];
    if (ItemPointerGetBlockNumber(place) == entries->page && FullTransactionIdEquals(entry->xid, xid))
      entry->there = true;
  }
  index_endscan(scan);
}

// While it is built beside others, what is missing is looked for and added there too, without our lock.
void require_built(Relation index) {
  if (!index->rd_index->indisvalid)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
                    errmsg("the index muskrat.%s is being built, or was left unfinished: nothing can be deleted or "
                           "updated in its table meanwhile",
                           RelationGetRelationName(index)),
                    errhint("Try again when it is built; drop it if it was left over.")));
}

void add_entries(const OpenSegment& segment, Relation index, PageEntries* entries) {
  bool looked = false;
  FullTransactionId looked_for = InvalidFullTransactionId;
  for (int at = FirstOffsetNumber; at <= MaxHeapTuplesPerPage; at++) {
    Entry* entry = &entries->at[at];
    if (!entry->wanted) continue;
    if (!looked || !FullTransactionIdEquals(entry->xid, looked_for))
      look_for_entries(segment, index, looked_for = entry->xid, entries);
    looked = true;
    if (entry->there) continue;
    require_built(index);
    Datum xid = FullTransactionIdGetDatum(entry->xid);
    bool null = false;
    ItemPointerData place;
    ItemPointerSet(&place, entries->page, static_cast<OffsetNumber>(at));
    index_insert(index, &xid, &null, &place, segment.table, UNIQUE_CHECK_NO, false, nullptr);
    entry->there = true;
  }
}

void keep_found(Relation table, BlockNumber page) {
  OpenSegment segment{};
  segment.table = table;
  segment_columns(table, segment.column_of);
  LockPage(table, page, ExclusiveLock);  // against others who do the same
  List* indexes = RelationGetIndexList(table);
  ListCell* cell;
  foreach (cell, indexes) {
    Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
    if (segment_index_kind(index) == SegmentIndex::by_page && index->rd_index->indisready) {
      auto* entries = static_cast<PageEntries*>(palloc0(sizeof(PageEntries)));
      entries->page = page;
      look_for_rows(segment, entries);
      add_entries(segment, index, entries);
      pfree(entries);
    }
    index_close(index, NoLock);
  }
  list_free(indexes);
  UnlockPage(table, page, ExclusiveLock);
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_keep_found);

PGDLLEXPORT Datum muskrat_keep_found(PG_FUNCTION_ARGS) {
  auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
  if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
      !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("muskrat.keep_found() is for the triggers of the outbox's segments")));
  keep_found(trigger->tg_relation, ItemPointerGetBlockNumber(&trigger->tg_trigtuple->t_self));
  PG_RETURN_POINTER(nullptr);
}
}

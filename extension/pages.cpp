#include "extension/pages.hpp"

extern "C" {
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
}

namespace {

// Those that are left over when a table has both are as good.
Oid index_on(Relation table, AttrNumber column) {
  Oid found = InvalidOid;
  List* indexes = RelationGetIndexList(table);
  ListCell* cell;
  foreach (cell, indexes) {
    Relation index = index_open(lfirst_oid(cell), AccessShareLock);
    const bool usable = index->rd_index->indisvalid && index->rd_index->indkey.values[0] == column;
    if (!OidIsValid(found) && usable && segment_index_kind(index) != SegmentIndex::other) found = lfirst_oid(cell);
    index_close(index, NoLock);
  }
  list_free(indexes);
  return found;
}

}  // namespace

void require_primary() {
  if (RecoveryInProgress())
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("recovery is in progress"),
                    errhint("The outbox is read on the primary.")));
}

Xids xids_of(ArrayType* array) {
  Xids xids;
  deconstruct_array(array, XID8OID, sizeof(FullTransactionId), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &xids.at, nullptr,
                    &xids.count);
  return xids;
}

void open_segment(int number, OpenSegment* segment) {
  const OutboxRelations* relations = outbox_relations();
  if (relations == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("the outbox of the extension muskrat is not here")));
  segment->number = number;
  segment->table = table_open(relations->segments[number - 1], AccessShareLock);
  segment_columns(segment->table, segment->column_of);
  segment->index = index_on(segment->table, segment->column_of[FIELD_XID]);
}

void close_segment(OpenSegment* segment) { table_close(segment->table, NoLock); }

void open_segments(OpenSegment segments[segment_count]) {
  for (int i = 0; i < segment_count; i++) open_segment(i + 1, &segments[i]);
}

void close_segments(OpenSegment segments[segment_count]) {
  for (int i = 0; i < segment_count; i++) close_segment(&segments[i]);
}

Datum required(HeapTuple row, const OpenSegment& segment, OutboxField which) {
  bool null;
  const Datum value = heap_getattr(row, segment.column_of[which], RelationGetDescr(segment.table), &null);
  if (null)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the table muskrat.%s was altered: an event without id, transaction or body is in it",
                           RelationGetRelationName(segment.table)),
                    errhint("Give it its values back, or delete it.")));
  return value;
}

void begin_pages(const OpenSegment& segment, Snapshot snapshot, XidRange range, PageSearch* search) {
  *search = PageSearch{segment.table, nullptr, nullptr, 0, 0};
  if (range.from.value >= range.to.value) return;
  if (!OidIsValid(segment.index)) {
    search->pages = RelationGetNumberOfBlocks(segment.table);
    return;
  }
  ScanKeyData keys[2];
  const AttrNumber column = segment.column_of[FIELD_XID];
  ScanKeyInit(&keys[0], column, BTGreaterEqualStrategyNumber, F_XID8GE, FullTransactionIdGetDatum(range.from));
  ScanKeyInit(&keys[1], column, BTLessStrategyNumber, F_XID8LT, FullTransactionIdGetDatum(range.to));
  const int bounds = range.to.value == no_xid_is_higher ? 1 : 2;
  search->entries = systable_beginscan(segment.table, segment.index, true, snapshot, bounds, keys);
}

bool next_page(PageSearch* search, BlockNumber* page) {
  if (search->entries == nullptr) {
    *page = search->next;
    return search->next++ < search->pages;
  }
  for (HeapTuple entry; HeapTupleIsValid(entry = systable_getnext(search->entries));) {
    CHECK_FOR_INTERRUPTS();
    *page = ItemPointerGetBlockNumber(&entry->t_self);
    if (search->seen == nullptr) {  // mostly there is no entry at all
      search->pages = RelationGetNumberOfBlocks(search->table);
      search->seen = static_cast<uint8*>(palloc0(search->pages / BITS_PER_BYTE + 1));
    }
    // What the snapshot sees was there before the pages were counted.
    if (*page >= search->pages) ereport(ERROR, (errmsg_internal("page %u of %u", *page, search->pages)));
    uint8* bits = &search->seen[*page / BITS_PER_BYTE];
    const uint8 bit = 1 << *page % BITS_PER_BYTE;
    if (*bits & bit) continue;
    *bits |= bit;
    return true;
  }
  return false;
}

void end_pages(PageSearch* search) {
  if (search->entries != nullptr) systable_endscan(search->entries);
  if (search->seen != nullptr) pfree(search->seen);
}

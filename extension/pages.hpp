// The rows of some transactions in a segment, page by page.
//
// A segment's index has an entry for each page on which a statement's events lie, not for each of them (docs/adr/0009):
// of an entry the page is what is used, and every row of the page is looked at. An index that has more entries, or none
// at all, serves as well. Used by reading.cpp and listing.cpp, which read, and kept.cpp, which writes entries; those of
// what is captured are insertion.cpp's.
//
// Thread rule: a backend has one thread. Regime: no exceptions, nothing with a destructor, ERROR by ereport.
#pragma once

#include "extension/cells.hpp"
#include "extension/segment.hpp"

extern "C" {
#include "access/genam.h"
#include "access/heapam.h"
#include "access/transam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/snapshot.h"
#include "utils/xid8.h"
}

struct OpenSegment {
  int number;  // 1 to 3
  Relation table;
  Oid index;  // on xid, by page or whole; invalid: there is none, and the table is read whole
  AttrNumber column_of[FIELD_COUNT];
};

// One, or all three, under ACCESS SHARE, which is kept to the end of the transaction. ERROR where the extension is not
// installed, or a segment was altered.
void open_segment(int number, OpenSegment* segment);
void close_segment(OpenSegment* segment);
void open_segments(OpenSegment segments[segment_count]);
void close_segments(OpenSegment segments[segment_count]);

// Transactions: the first is among them, the last is not.
struct XidRange {
  FullTransactionId from, to;
};
constexpr uint64 no_xid_is_higher = PG_UINT64_MAX;

// ERROR on a standby: its snapshot does not say who is in progress, and a lagging one does not have what is there.
void require_primary();

// Of an xid8[] parameter, which is NULL nowhere.
struct Xids {
  Datum* at;
  int count;
};
Xids xids_of(ArrayType* array);

// A column that the outbox cannot be without. ERROR where it is NULL: somebody has altered the segment.
Datum required(HeapTuple row, const OpenSegment& segment, OutboxField which);

// The places of pages with rows of such transactions, each page once. Begin, next until it is false, end.
struct PageSearch {
  Relation table;
  SysScanDesc entries;  // null: there is no index, or nothing to look for
  uint8* seen;          // a bit for each page
  BlockNumber pages, next;
};
void begin_pages(const OpenSegment& segment, Snapshot snapshot, XidRange range, PageSearch* search);
bool next_page(PageSearch* search, BlockNumber* page);
void end_pages(PageSearch* search);

inline bool is_among(FullTransactionId xid, const XidRange& range) {
  return xid.value >= range.from.value && xid.value < range.to.value;
}

// A row as it lies on a page that is locked.
inline void row_at(const OpenSegment& segment, Page page, BlockNumber number, OffsetNumber at, HeapTuple row) {
  ItemIdData* item = PageGetItemId(page, at);
  row->t_tableOid = RelationGetRelid(segment.table);
  row->t_data = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
  row->t_len = ItemIdGetLength(item);
  ItemPointerSet(&row->t_self, number, at);
}

// Calls visit(HeapTuple, FullTransactionId) for the rows of one page that the snapshot sees, in the order in which they
// lie there, until it says false; false then. The page is locked meanwhile: the visitor reads nothing but the row.
template <class Visit>
bool visit_page(const OpenSegment& segment, Snapshot snapshot, XidRange range, BlockNumber number, Visit&& visit) {
  CHECK_FOR_INTERRUPTS();
  const Buffer buffer = ReadBuffer(segment.table, number);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  const Page page = BufferGetPage(buffer);
  const OffsetNumber last = PageGetMaxOffsetNumber(page);
  bool more = true;
  for (OffsetNumber at = FirstOffsetNumber; more && at <= last; at = OffsetNumberNext(at)) {
    if (!ItemIdIsNormal(PageGetItemId(page, at))) continue;
    HeapTupleData row;
    row_at(segment, page, number, at, &row);
    bool null;
    Datum value = heap_getattr(&row, segment.column_of[FIELD_XID], RelationGetDescr(segment.table), &null);
    if (!null && !is_among(DatumGetFullTransactionId(value), range)) continue;
    if (!HeapTupleSatisfiesVisibility(&row, snapshot, buffer)) continue;
    if (null) value = required(&row, segment, FIELD_XID);  // says what is wrong with it
    more = visit(&row, DatumGetFullTransactionId(value));
  }
  UnlockReleaseBuffer(buffer);
  return more;
}

// The same for all rows of such transactions, in no order.
template <class Visit>
bool visit_rows(const OpenSegment& segment, Snapshot snapshot, XidRange range, Visit&& visit) {
  PageSearch search;
  begin_pages(segment, snapshot, range, &search);
  bool more = true;
  for (BlockNumber page; more && next_page(&search, &page);) more = visit_page(segment, snapshot, range, page, visit);
  end_pages(&search);
  return more;
}

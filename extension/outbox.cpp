#include "extension/outbox.hpp"

#include <cstring>

#include "extension/cells.hpp"
#include "extension/doorbell.hpp"
#include "extension/message_id.hpp"
#include "extension/segment.hpp"

extern "C" {
#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/xid8.h"
}

namespace {

struct FieldValues {
  Datum value[FIELD_COUNT];
  bool null[FIELD_COUNT];
};

void require_writable_transaction() {
  PreventCommandDuringRecovery("writing a Muskrat event");
  PreventCommandIfReadOnly("writing a Muskrat event");
  PreventCommandIfParallelMode("writing a Muskrat event");
}

Datum text_datum(const char* text, int length) { return PointerGetDatum(cstring_to_text_with_len(text, length)); }

void fill(const OutboxEvent& event, int64 id, pg_uuid_t* message_id, FieldValues* row) {
  TimestampTz now = GetCurrentTimestamp();
  char* headers = event_headers(EventHeaders{event.omitted_json, event.to, event.as});
  message_id_make(now, message_id);
  memset(row->null, 0, sizeof row->null);
  row->value[FIELD_ID] = Int64GetDatum(id);
  row->value[FIELD_XID] = FullTransactionIdGetDatum(GetTopFullTransactionId());
  row->value[FIELD_CAPTURED_AT] = TimestampTzGetDatum(now);
  row->value[FIELD_MESSAGE_ID] = UUIDPGetDatum(message_id);
  row->value[FIELD_OP] = CharGetDatum(event.op);
  row->value[FIELD_ROUTING_KEY] = text_datum(event.routing_key, event.routing_key_len);
  row->null[FIELD_ORDERING_KEY] = event.ordering_key == nullptr;
  if (event.ordering_key != nullptr)
    row->value[FIELD_ORDERING_KEY] = text_datum(event.ordering_key, event.ordering_key_len);
  row->value[FIELD_BODY] = text_datum(event.body, event.body_len);
  row->null[FIELD_HEADERS] = headers == nullptr;
  if (headers != nullptr) row->value[FIELD_HEADERS] = text_datum(headers, static_cast<int>(strlen(headers)));
}

HeapTuple form_row(Relation table, const Segment& segment, const FieldValues& row) {
  Datum values[MaxHeapAttributeNumber];
  bool nulls[MaxHeapAttributeNumber];
  for (int i = 0; i < segment.column_count; i++) {
    int field = segment.field_of[i];
    nulls[i] = field < 0 || row.null[field];
    values[i] = nulls[i] ? Datum(0) : row.value[field];
  }
  return heap_form_tuple(RelationGetDescr(table), values, nulls);
}

void insert_into_index(Relation table, Oid index_oid, HeapTuple tuple) {
  Relation index = index_open(index_oid, NoLock);
  const FormData_pg_index* form = index->rd_index;
  if (form->indisready) {
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    for (int i = 0; i < form->indnatts; i++)
      values[i] = heap_getattr(tuple, form->indkey.values[i], RelationGetDescr(table), &nulls[i]);
    index_insert(index, values, nulls, &tuple->t_self, table, form->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
                 false, nullptr);
  }
  index_close(index, NoLock);
}

void insert_row(const Segment& segment, const FieldValues& row) {
  Relation table = table_open(segment.table, NoLock);
  HeapTuple tuple = form_row(table, segment, row);
  heap_insert(table, tuple, GetCurrentCommandId(true), 0, nullptr);
  for (int i = 0; i < segment.index_count; i++) insert_into_index(table, segment.indexes[i], tuple);
  table_close(table, NoLock);
}

int64 draw_id(const Segment& segment) {
  Relation ids = relation_open(segment.ids, NoLock);
  int64 id = id_draw(ids);
  relation_close(ids, NoLock);
  return id;
}

// Reset at the start, so that what an ERROR left behind goes with the next event.
MemoryContext clean_context() {
  static MemoryContext context = nullptr;
  if (context == nullptr)
    context = AllocSetContextCreate(TopMemoryContext, "muskrat outbox row", ALLOCSET_DEFAULT_SIZES);
  MemoryContextReset(context);
  return context;
}

}  // namespace

void outbox_init() {
  cells_init();
  segment_init();
  doorbell_init();
}

void outbox_write(const OutboxEvent& event) {
  require_writable_transaction();
  MemoryContext context = clean_context();
  MemoryContext caller = MemoryContextSwitchTo(context);

  GetTopFullTransactionId();
  const Segment& segment = segment_held();
  pg_uuid_t message_id;
  FieldValues row;
  fill(event, draw_id(segment), &message_id, &row);
  insert_row(segment, row);

  MemoryContextSwitchTo(caller);
  MemoryContextReset(context);
  doorbell_ring_at_commit();
}

#include "extension/outbox.hpp"

#include <cstring>

#include "extension/cells.hpp"
#include "extension/doorbell.hpp"
#include "extension/gathered.hpp"
#include "extension/insertion.hpp"
#include "extension/message_id.hpp"
#include "extension/segment.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/relation.h"
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

HeapTuple form_row(const Segment& segment, const FieldValues& row) {
  Datum values[MaxHeapAttributeNumber];
  bool nulls[MaxHeapAttributeNumber];
  for (int i = 0; i < segment.column_count; i++) {
    int field = segment.field_of[i];
    nulls[i] = field < 0 || row.null[field];
    values[i] = nulls[i] ? Datum(0) : row.value[field];
  }
  return heap_form_tuple(segment.descriptor, values, nulls);
}

int64 draw_id(const Segment& segment) {
  Relation ids = relation_open(segment.ids, NoLock);
  int64 id = id_draw(ids);
  relation_close(ids, NoLock);
  return id;
}

// What a trigger tells of a row that its statement has changed. For others the moment of the call is what counts.
bool of_a_locked_row(const OutboxEvent& event) { return event.op == 'i' || event.op == 'u' || event.op == 'd'; }

RowPlace place_at_once(MemoryContext memory) {
  gathered_passed();
  const Segment& segment = segment_held();
  return RowPlace{&segment, draw_id(segment), memory};
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
  gathered_init();
  doorbell_init();
}

void outbox_write(const OutboxEvent& event) {
  require_writable_transaction();
  MemoryContext context = clean_context();
  MemoryContext caller = MemoryContextSwitchTo(context);

  GetTopFullTransactionId();
  RowPlace place;
  const bool waits = of_a_locked_row(event) && gathered_place(&place);
  if (!waits) place = place_at_once(context);
  pg_uuid_t message_id;
  FieldValues row;
  fill(event, place.id, &message_id, &row);
  MemoryContextSwitchTo(place.memory);
  HeapTuple tuple = form_row(*place.segment, row);
  if (waits)
    gather(tuple);
  else
    insert_rows(*place.segment, &tuple, 1);

  MemoryContextSwitchTo(caller);
  MemoryContextReset(context);
  doorbell_ring_at_commit();
}

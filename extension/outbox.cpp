#include "extension/outbox.hpp"

#include <cstring>

#include "extension/cells.hpp"
#include "extension/doorbell.hpp"
#include "extension/message_id.hpp"

extern "C" {
#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/xid8.h"
}

namespace {

struct Field {
  const char* name;
  Oid type;
};

// What this library knows to write; a segment may have more columns (they get NULL), and never fewer.
constexpr Field fields[] = {
    {"id", INT8OID},           {"xid", XID8OID},  {"captured_at", TIMESTAMPTZOID},
    {"message_id", UUIDOID},   {"op", CHAROID},   {"routing_key", TEXTOID},
    {"ordering_key", TEXTOID}, {"body", TEXTOID}, {"headers", TEXTOID},
};
enum { ID, XID, CAPTURED_AT, MESSAGE_ID, OP, ROUTING_KEY, ORDERING_KEY, BODY, HEADERS, FIELD_COUNT };
static_assert(lengthof(fields) == FIELD_COUNT);

struct FieldValues {
  Datum value[FIELD_COUNT];
  bool null[FIELD_COUNT];
};

[[noreturn]] void report_not_installed() {
  ereport(ERROR,
          (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the outbox of the extension muskrat is not in this database"),
           errhint("Run CREATE EXTENSION muskrat, or drop the triggers that call it.")));
  pg_unreachable();
}

void require_writable_transaction() {
  PreventCommandDuringRecovery("writing a Muskrat event");
  PreventCommandIfReadOnly("writing a Muskrat event");
  PreventCommandIfParallelMode("writing a Muskrat event");
}

int current_segment(const OutboxRelations& relations) {
  int64 segment = 0;
  if (!cell_read(relations.current_segment, &segment)) return -1;
  if (segment < 1 || segment > segment_count)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the sequence muskrat.current_segment was altered: its value is %lld",
                           static_cast<long long>(segment)),
                    errhint("Run SELECT setval('muskrat.current_segment', 1).")));
  return static_cast<int>(segment) - 1;
}

// Opens the segment that is current once its lock is held. The lock is asked for anew for each event, for a rolled back
// savepoint has released it; the number is read again behind it, for the relay's TRUNCATE may have come in between.
// Null: a relation is gone.
Relation try_open_segment(const OutboxRelations& relations) {
  int wanted = current_segment(relations);
  while (wanted >= 0) {
    Relation segment = try_table_open(relations.segments[wanted], RowExclusiveLock);
    if (segment == nullptr) return nullptr;
    int now = current_segment(relations);
    if (now == wanted) return segment;
    table_close(segment, RowExclusiveLock);
    wanted = now;
  }
  return nullptr;
}

// The segment to write to and the event's id. The OIDs may be those of an extension that was dropped and created again
// since: the second look is fresh, for taking the locks has processed the invalidations.
Relation open_segment(int64* id) {
  for (int attempt = 0; attempt < 2; attempt++) {
    const OutboxRelations* found = outbox_relations();
    if (found == nullptr) break;
    OutboxRelations relations = *found;
    Relation segment = try_open_segment(relations);
    if (segment != nullptr && id_draw(relations.outbox_id, id)) return segment;
    if (segment != nullptr) table_close(segment, RowExclusiveLock);
    AcceptInvalidationMessages();
  }
  report_not_installed();
}

Datum text_datum(const char* text, int length) { return PointerGetDatum(cstring_to_text_with_len(text, length)); }

void fill(const OutboxEvent& event, int64 id, pg_uuid_t* message_id, FieldValues* row) {
  TimestampTz now = GetCurrentTimestamp();
  char* headers = event_headers(event.omitted_json);
  message_id_make(now, message_id);
  memset(row->null, 0, sizeof row->null);
  row->value[ID] = Int64GetDatum(id);
  row->value[XID] = FullTransactionIdGetDatum(GetTopFullTransactionId());
  row->value[CAPTURED_AT] = TimestampTzGetDatum(now);
  row->value[MESSAGE_ID] = UUIDPGetDatum(message_id);
  row->value[OP] = CharGetDatum(event.op);
  row->value[ROUTING_KEY] = text_datum(event.routing_key, event.routing_key_len);
  row->null[ORDERING_KEY] = event.ordering_key == nullptr;
  if (event.ordering_key != nullptr) row->value[ORDERING_KEY] = text_datum(event.ordering_key, event.ordering_key_len);
  row->value[BODY] = text_datum(event.body, event.body_len);
  row->null[HEADERS] = headers == nullptr;
  if (headers != nullptr) row->value[HEADERS] = text_datum(headers, static_cast<int>(strlen(headers)));
}

int field_of(const FormData_pg_attribute* attribute) {
  for (int field = 0; field < FIELD_COUNT; field++)
    if (strcmp(NameStr(attribute->attname), fields[field].name) == 0)
      return attribute->atttypid == fields[field].type ? field : -1;
  return -1;
}

// The row against the relation's own descriptor, by name: the table may be of an older or newer version than this
// library.
HeapTuple form_row(Relation segment, const FieldValues& row) {
  TupleDesc descriptor = RelationGetDescr(segment);
  auto values = static_cast<Datum*>(palloc0(sizeof(Datum) * descriptor->natts));
  auto nulls = static_cast<bool*>(palloc(sizeof(bool) * descriptor->natts));
  int found = 0;
  for (int i = 0; i < descriptor->natts; i++) {
    const FormData_pg_attribute* attribute = TupleDescAttr(descriptor, i);
    int field = attribute->attisdropped ? -1 : field_of(attribute);
    nulls[i] = field < 0 || row.null[field];
    if (field >= 0) found++;
    if (!nulls[i]) values[i] = row.value[field];
  }
  if (found != FIELD_COUNT || segment->rd_rel->relam != HEAP_TABLE_AM_OID)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the table muskrat.%s was altered: the extension cannot write to it",
                           RelationGetRelationName(segment)),
                    errhint("Restore its columns, or drop and create the extension again.")));
  return heap_form_tuple(descriptor, values, nulls);
}

void insert_into_index(Relation segment, Oid index_oid, HeapTuple tuple) {
  Relation index = index_open(index_oid, RowExclusiveLock);
  const FormData_pg_index* form = index->rd_index;
  if (index->rd_rel->relam != BTREE_AM_OID || RelationGetIndexExpressions(index) != NIL ||
      RelationGetIndexPredicate(index) != NIL)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("the index %s on the outbox is not a plain btree index", RelationGetRelationName(index)),
                    errhint("Drop it: the outbox's segments take no other kind.")));
  if (form->indisready) {
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    for (int i = 0; i < form->indnatts; i++)
      values[i] = heap_getattr(tuple, form->indkey.values[i], RelationGetDescr(segment), &nulls[i]);
    index_insert(index, values, nulls, &tuple->t_self, segment, form->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
                 false, nullptr);
  }
  index_close(index, NoLock);
}

void insert_row(Relation segment, HeapTuple tuple) {
  heap_insert(segment, tuple, GetCurrentCommandId(true), 0, nullptr);
  List* indexes = RelationGetIndexList(segment);
  ListCell* cell;
  foreach (cell, indexes) insert_into_index(segment, lfirst_oid(cell), tuple);
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
  doorbell_init();
}

void outbox_write(const OutboxEvent& event) {
  require_writable_transaction();
  MemoryContext context = clean_context();
  MemoryContext caller = MemoryContextSwitchTo(context);

  GetTopFullTransactionId();
  int64 id;
  Relation segment = open_segment(&id);
  pg_uuid_t message_id;
  FieldValues row;
  fill(event, id, &message_id, &row);
  insert_row(segment, form_row(segment, row));
  table_close(segment, NoLock);

  MemoryContextSwitchTo(caller);
  MemoryContextReset(context);
  doorbell_ring_at_commit();
}

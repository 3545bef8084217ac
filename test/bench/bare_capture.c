/* What any row trigger costs before it does anything of use: the limits that capture is measured against.
 *   bare_empty()         a trigger that does nothing
 *   bare_insert('512')   one that stores a row of so many bytes in the table bare_outbox (id bigint, body text), which has
 *                        one index, on id, drawn from the sequence bare_outbox_id; nothing of the changed row is looked at
 * Loaded by capture.py into its own server with CREATE FUNCTION … LANGUAGE C; no part of the extension. */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(bare_empty);
PG_FUNCTION_INFO_V1(bare_insert);

Datum bare_empty(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  PG_RETURN_POINTER(NULL);
}

static Oid named(const char *name) { return RelnameGetRelid(name); }

static struct varlena *body_of(int bytes) {
  const int around = MAXALIGN(SizeofHeapTupleHeader) + sizeof(int64);
  struct varlena *body = palloc(bytes);
  memset(body, 'x', bytes);
  SET_VARSIZE(body, Max(bytes - around, VARHDRSZ));
  return body;
}

Datum bare_insert(PG_FUNCTION_ARGS) {
  static Oid table_oid, index_oid, ids_oid; /* the tables live as long as the server */
  Datum values[2];
  bool nulls[2] = {false, false};
  TriggerData *trigger = (TriggerData *)fcinfo->context;
  if (!OidIsValid(table_oid)) {
    table_oid = named("bare_outbox");
    index_oid = named("bare_outbox_index");
    ids_oid = named("bare_outbox_id");
  }
  Relation table = table_open(table_oid, RowExclusiveLock);
  Relation index = index_open(index_oid, RowExclusiveLock);
  values[0] = Int64GetDatum(nextval_internal(ids_oid, false));
  values[1] = PointerGetDatum(body_of(atoi(trigger->tg_trigger->tgargs[0])));
  HeapTuple row = heap_form_tuple(RelationGetDescr(table), values, nulls);
  heap_insert(table, row, GetCurrentCommandId(true), 0, NULL);
  index_insert(index, values, nulls, &row->t_self, table, UNIQUE_CHECK_NO, false, NULL);
  heap_freetuple(row);
  pfree(DatumGetPointer(values[1]));
  index_close(index, NoLock);
  table_close(table, NoLock);
  PG_RETURN_POINTER(NULL);
}

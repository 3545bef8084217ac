// muskrat.backfill_row(): a row that was there before is told as an event, by the plan of the attachment that would
// have told of its insert.
//
// Used by sql/backfill.sql alone, for each row of a chunk. The row's lock comes first, and is never waited for: so this
// deadlocks with nobody, and an event that is drawn behind the lock has a higher id than every change of the row that
// is committed, and a lower one than every change to come. What is told is the newest version, whatever the caller's
// snapshot saw. docs/backfill.md is the manual.
extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

#include "extension/newest.hpp"
#include "extension/presence.hpp"
#include "extension/tell.hpp"

namespace {

// What became of the row.
enum Fate : char { told = 't', locked = 'l', gone = 'g', not_meant = 'n' };

struct Told {
  Fate fate;
  int32 events;
  int64 bytes;
};

bool owned(Oid relation) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(RelationRelationId, relation, GetUserId());
#else
  return pg_class_ownercheck(relation, GetUserId());
#endif
}

void require_owner(Relation table) {
  if (of_it_or_ancestors(table, owned)) return;  // as for attaching
  ereport(ERROR,
          (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("you do not own table %s", RelationGetRelationName(table)),
           errhint("Let its owner or a superuser backfill it.")));
}

void tell_as(Relation table, TupleTableSlot* row, const char* attachment, Oid capture, const char* endpoint,
             Told& result) {
  TriggerData source;
  CapturePlan& plan = plan_of_presence_or_error(table, attachment, capture, source);
  if (!when_holds(Firing{plan, &source, row, row}, row, row)) return;
  result.bytes += tell_row(plan, 'b', plan.on_backfill, row, Addressed{endpoint, plan.words_present});
  result.events++;
}

// Locking believes that there is a row in the place. `seen` is what was there, in any version; while it is held nothing
// takes it away. `place` becomes that of the version that is locked.
Fate lock(Relation table, ItemPointerData place, TupleTableSlot* seen, TupleTableSlot* row) {
  if (!is_inside(table, place) || !table_tuple_fetch_row_version(table, &place, SnapshotAny, seen)) return gone;
  TM_FailureData failure;
  TM_Result result = table_tuple_lock(table, &place, GetActiveSnapshot(), row, GetCurrentCommandId(false),
                                      LockTupleShare, LockWaitSkip, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
  if (result == TM_Ok) return told;
  return result == TM_WouldBlock ? locked : gone;
}

Told tell_all(Relation table, const ItemPointerData& place, ArrayType* attachments, Oid capture, const char* endpoint) {
  Told result{told, 0, 0};
  TupleTableSlot* row = table_slot_create(table, nullptr);
  TupleTableSlot* seen = table_slot_create(table, nullptr);
  result.fate = lock(table, place, seen, row);
  Datum* names;
  int count = 0;
  if (result.fate == told) deconstruct_array(attachments, TEXTOID, -1, false, TYPALIGN_INT, &names, nullptr, &count);
  for (int i = 0; i < count; i++) tell_as(table, row, TextDatumGetCString(names[i]), capture, endpoint, result);
  if (result.fate == told && result.events == 0) result.fate = not_meant;
  ExecDropSingleTupleTableSlot(seen);
  ExecDropSingleTupleTableSlot(row);
  return result;
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_backfill_row);

// muskrat.backfill_row(relation oid, place tid, attachments text[], endpoint text) → (fate "char", events int, bytes
// bigint). The relation is a table with rows of its own: a partition, not its root; ERROR MK004 for others. endpoint
// NULL: to all.
PGDLLEXPORT Datum muskrat_backfill_row(PG_FUNCTION_ARGS) {
  for (int i = 0; i < 3; i++)
    if (PG_ARGISNULL(i)) PG_RETURN_NULL();
  PresenceCall& call = presence_call(fcinfo);
  Relation table = table_open(PG_GETARG_OID(0), RowShareLock);
  require_once(call, table, require_owner);
  const char* endpoint = PG_ARGISNULL(3) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(3));
  auto* place = reinterpret_cast<ItemPointer>(PG_GETARG_POINTER(1));
  Told result = tell_all(table, *place, PG_GETARG_ARRAYTYPE_P(2), call.capture, endpoint);
  table_close(table, NoLock);
  bool nulls[3] = {};
  Datum values[3] = {CharGetDatum(result.fate), Int32GetDatum(result.events), Int64GetDatum(result.bytes)};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(call.shape, values, nulls)));
}
}

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
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

#include "extension/errors.hpp"
#include "extension/newest.hpp"
#include "extension/tell.hpp"

namespace {

// What became of the row.
enum Fate : char { told = 't', locked = 'l', gone = 'g', not_meant = 'n' };

struct Told {
  Fate fate;
  int32 events;
  int64 bytes;
};

// Looked up once in a statement.
struct Call {
  Oid capture;
  TupleDesc shape;
};

const Call& call_of(FunctionCallInfo fcinfo) {
  if (fcinfo->flinfo->fn_extra) return *static_cast<Call*>(fcinfo->flinfo->fn_extra);
  MemoryContext previous = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
  auto* call = static_cast<Call*>(palloc0(sizeof(Call)));
  List* name = list_make2(makeString(pstrdup("muskrat")), makeString(pstrdup("capture")));
  call->capture = LookupFuncName(name, 0, nullptr, false);
  if (get_call_result_type(fcinfo, nullptr, &call->shape) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  call->shape = BlessTupleDesc(call->shape);
  MemoryContextSwitchTo(previous);
  fcinfo->flinfo->fn_extra = call;
  return *call;
}

bool owned(Oid relation) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(RelationRelationId, relation, GetUserId());
#else
  return pg_class_ownercheck(relation, GetUserId());
#endif
}

// As for attaching: of a partition, whoever owns the table that is attached.
void require_owner(Relation table) {
  if (owned(RelationGetRelid(table))) return;
  List* ancestors = table->rd_rel->relispartition ? get_partition_ancestors(RelationGetRelid(table)) : NIL;
  ListCell* cell;
  foreach (cell, ancestors)
    if (owned(lfirst_oid(cell))) return;
  ereport(ERROR,
          (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("you do not own table %s", RelationGetRelationName(table)),
           errhint("Let its owner or a superuser backfill it.")));
}

// The trigger that tells of an insert; where there is none, the one for updates.
bool tells_of_presence(const Trigger& trigger, Oid capture) {
  return trigger.tgfoid == capture && TRIGGER_FOR_ROW(trigger.tgtype) &&
         (TRIGGER_FOR_INSERT(trigger.tgtype) || TRIGGER_FOR_UPDATE(trigger.tgtype));
}

// Sets `source` to the attachment's trigger on this table, or returns null.
CapturePlan* plan_named(const char* attachment, Oid capture, TriggerData& source) {
  TriggerDesc* triggers = source.tg_relation->trigdesc;
  for (int i = 0; triggers && i < triggers->numtriggers; i++) {
    if (!tells_of_presence(triggers->triggers[i], capture)) continue;
    source.tg_trigger = &triggers->triggers[i];
    CapturePlan& plan = plan_of(&source);
    if (plan.spec.role == Role::rows && strcmp(plan.spec.name, attachment) == 0) return &plan;
  }
  return nullptr;
}

TriggerData as_if_inserted(Relation table) {
  TriggerData source{};
  source.type = T_TriggerData;
  source.tg_event = TRIGGER_EVENT_INSERT | TRIGGER_EVENT_ROW;
  source.tg_relation = table;
  return source;
}

void tell_as(Relation table, TupleTableSlot* row, const char* attachment, Oid capture, const char* endpoint,
             Told& result) {
  TriggerData source = as_if_inserted(table);
  CapturePlan* plan = plan_named(attachment, capture, source);
  if (!plan)
    ereport(ERROR, (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT),
                    errmsg("table %s has no attachment \"%s\" that tells of inserts or updates",
                           RelationGetRelationName(table), attachment),
                    errhint("SELECT * FROM muskrat.attached lists what is attached.")));
  if (!when_holds(Firing{*plan, &source, row, row}, row, row)) return;
  result.bytes += tell_row(*plan, 'b', plan->on_backfill, row, Addressed{endpoint, plan->words_present});
  result.events++;
}

Fate lock(Relation table, ItemPointer place, TupleTableSlot* row) {
  TM_FailureData failure;
  TM_Result result = table_tuple_lock(table, place, GetActiveSnapshot(), row, GetCurrentCommandId(false),
                                      LockTupleShare, LockWaitSkip, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
  if (result == TM_Ok) return told;
  return result == TM_WouldBlock ? locked : gone;
}

Told tell_all(Relation table, ItemPointer place, ArrayType* attachments, Oid capture, const char* endpoint) {
  Told result{told, 0, 0};
  TupleTableSlot* row = table_slot_create(table, nullptr);
  result.fate = lock(table, place, row);
  Datum* names;
  int count = 0;
  if (result.fate == told) deconstruct_array(attachments, TEXTOID, -1, false, TYPALIGN_INT, &names, nullptr, &count);
  for (int i = 0; i < count; i++) tell_as(table, row, TextDatumGetCString(names[i]), capture, endpoint, result);
  if (result.fate == told && result.events == 0) result.fate = not_meant;
  ExecDropSingleTupleTableSlot(row);
  return result;
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_backfill_row);

// muskrat.backfill_row(relation oid, place tid, attachments text[], endpoint text) → (fate "char", events int, bytes
// bigint). The relation is a table with rows of its own: a partition, not its root. endpoint NULL: to all.
PGDLLEXPORT Datum muskrat_backfill_row(PG_FUNCTION_ARGS) {
  for (int i = 0; i < 3; i++)
    if (PG_ARGISNULL(i)) PG_RETURN_NULL();
  const Call& call = call_of(fcinfo);
  Relation table = table_open(PG_GETARG_OID(0), RowShareLock);
  require_owner(table);
  const char* endpoint = PG_ARGISNULL(3) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(3));
  auto* place = reinterpret_cast<ItemPointer>(PG_GETARG_POINTER(1));
  Told result = tell_all(table, place, PG_GETARG_ARRAYTYPE_P(2), call.capture, endpoint);
  table_close(table, NoLock);
  bool nulls[3] = {};
  Datum values[3] = {CharGetDatum(result.fate), Int32GetDatum(result.events), Int64GetDatum(result.bytes)};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(call.shape, values, nulls)));
}
}

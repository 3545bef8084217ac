extern "C" {
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
}

#include "extension/errors.hpp"
#include "extension/presence.hpp"

namespace {

bool tells_of_presence(const Trigger& trigger, Oid capture) {
  return trigger.tgfoid == capture && TRIGGER_FOR_ROW(trigger.tgtype) &&
         (TRIGGER_FOR_INSERT(trigger.tgtype) || TRIGGER_FOR_UPDATE(trigger.tgtype));
}

TriggerData as_if_inserted(Relation table) {
  TriggerData source{};
  source.type = T_TriggerData;
  source.tg_event = TRIGGER_EVENT_INSERT | TRIGGER_EVENT_ROW;
  source.tg_relation = table;
  return source;
}

Oid capture_function() {
  List* name = list_make2(makeString(pstrdup("muskrat")), makeString(pstrdup("capture")));
  return LookupFuncName(name, 0, nullptr, false);
}

}  // namespace

PresenceCall& presence_call(FunctionCallInfo fcinfo) {
  if (fcinfo->flinfo->fn_extra) return *static_cast<PresenceCall*>(fcinfo->flinfo->fn_extra);
  MemoryContext previous = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
  auto* call = static_cast<PresenceCall*>(palloc0(sizeof(PresenceCall)));
  call->capture = capture_function();
  if (get_call_result_type(fcinfo, nullptr, &call->shape) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  call->shape = BlessTupleDesc(call->shape);
  MemoryContextSwitchTo(previous);
  fcinfo->flinfo->fn_extra = call;
  return *call;
}

// Building a plan opens catalogs, upon which the relation cache may make the table's triggers anew: nothing of them is
// held from one to the next. None can go while the table is locked, so none is passed over.
CapturePlan* plan_of_presence(Relation table, const char* attachment, Oid capture, TriggerData& source) {
  source = as_if_inserted(table);
  for (int i = 0; table->trigdesc && i < table->trigdesc->numtriggers; i++) {
    source.tg_trigger = &table->trigdesc->triggers[i];
    if (!tells_of_presence(*source.tg_trigger, capture)) continue;
    CapturePlan& plan = plan_of(&source);
    source.tg_trigger = nullptr;
    if (plan.spec.role == Role::rows && strcmp(plan.spec.name, attachment) == 0) return &plan;
  }
  return nullptr;
}

CapturePlan& plan_of_presence_or_error(Relation table, const char* attachment, Oid capture, TriggerData& source) {
  CapturePlan* plan = plan_of_presence(table, attachment, capture, source);
  if (!plan)
    ereport(ERROR, (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT),
                    errmsg("table %s has no attachment \"%s\" that tells of inserts or updates",
                           RelationGetRelationName(table), attachment),
                    errhint("SELECT * FROM muskrat.attached lists what is attached.")));
  return *plan;
}

bool of_it_or_ancestors(Relation table, bool (*allowed)(Oid relation)) {
  if (allowed(RelationGetRelid(table))) return true;
  List* ancestors = table->rd_rel->relispartition ? get_partition_ancestors(RelationGetRelid(table)) : NIL;
  ListCell* cell;
  foreach (cell, ancestors)
    if (allowed(lfirst_oid(cell))) return true;
  return false;
}

void require_once(PresenceCall& call, Relation table, void (*require)(Relation table)) {
  if (call.checked == RelationGetRelid(table) && call.checked_for == GetUserId()) return;
  require(table);
  if (!RELKIND_HAS_TABLE_AM(table->rd_rel->relkind))
    ereport(ERROR, (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT),
                    errmsg("%s has no rows of its own", RelationGetRelationName(table)),
                    errhint("Give the table that holds the row, which is its tableoid.")));
  call.checked = RelationGetRelid(table);
  call.checked_for = GetUserId();
}

bool is_inside(Relation table, const ItemPointerData& place) {
  return ItemPointerIsValid(&place) && ItemPointerGetBlockNumber(&place) < RelationGetNumberOfBlocks(table);
}

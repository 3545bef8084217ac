extern "C" {
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_trigger.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
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

}  // namespace

Oid capture_function() {
  List* name = list_make2(makeString(pstrdup("muskrat")), makeString(pstrdup("capture")));
  return LookupFuncName(name, 0, nullptr, false);
}

CapturePlan* plan_of_presence(Relation table, const char* attachment, Oid capture, TriggerData& source) {
  source = as_if_inserted(table);
  TriggerDesc* triggers = table->trigdesc;
  for (int i = 0; triggers && i < triggers->numtriggers; i++) {
    if (!tells_of_presence(triggers->triggers[i], capture)) continue;
    source.tg_trigger = &triggers->triggers[i];
    CapturePlan& plan = plan_of(&source);
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

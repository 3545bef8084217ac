// The trigger function muskrat.capture(): a row change becomes an event of the outbox, or none.
//
// Runs in the application's transaction, once per row and trigger, with no SPI and no executor. What an attachment
// wants is in its plan (plan.hpp); docs/capture.md says in prose which change gives which event.
extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

#include "extension/cells.hpp"
#include "extension/changes.hpp"
#include "extension/key.hpp"
#include "extension/moves.hpp"
#include "extension/newest.hpp"
#include "extension/outbox.hpp"
#include "extension/tell.hpp"

namespace {

// Events that a later write of the same transaction made void are counted for the curious in a sequence: it needs no
// row and survives a rollback, which a count of rare events may. Not by nextval(): the application's lastval() is its
// own.
void count_dropped() {
  Oid oid = get_relname_relid("capture_dropped", get_namespace_oid("muskrat", true));
  Relation sequence = OidIsValid(oid) ? try_relation_open(oid, RowExclusiveLock) : nullptr;
  if (!sequence) return;
  GetTopTransactionId();
  id_draw(sequence);
  relation_close(sequence, NoLock);
}

// The row is there, in the version that is newest by now. Where there is no word for an insert, it is an update.
void tell_present(const Firing& firing, char op) {
  const CapturePlan& plan = firing.plan;
  bool as_insert = op == 'i' && plan.on_insert.text;
  const RoutingKeyText& routing_key = as_insert ? plan.on_insert : plan.on_update;
  if (!routing_key.text) return;
  TupleTableSlot* newest = newest_version(firing, firing.after);
  if (newest && (newest == firing.after || when_holds(firing, firing.before, newest)))
    tell_row(plan, as_insert ? 'i' : 'u', routing_key, newest);
  else
    count_dropped();
  release_version(firing.after, newest);
}

// The row that was there, under the key it had, is there no longer, or no longer meets the condition.
void tell_gone(const Firing& firing) {
  if (!firing.plan.on_delete.text) return;
  if (exists_again(firing)) return count_dropped();
  tell_row(firing.plan, 'd', firing.plan.on_delete, firing.before);
}

// A new key is the end of one row and the start of another, where there are words for it; else an update like others.
void capture_update(const Firing& firing) {
  const CapturePlan& plan = firing.plan;
  bool changed = any_changed(plan.watched, plan.watched_count, firing.before, firing.after);
  if (same_key(plan, firing.before, firing.after)) {
    if (changed) tell_present(firing, 'u');
    return;
  }
  tell_gone(firing);
  if (changed || plan.on_insert.text || plan.on_delete.text) tell_present(firing, 'i');
}

// There is no word for an insert here. Where the deletion in the other partition was told, the row is told again.
void capture_arrival(const Firing& firing) {
  if (!has_arrived(firing)) return;
  if (firing.plan.on_delete.text || arrival_is_news(firing)) tell_present(firing, 'i');
}

void capture_row(const Firing& firing) {
  switch (firing.plan.spec.role) {
    case Role::enter:
      return tell_present(firing, 'i');
    case Role::leave:
      return tell_gone(firing);
    case Role::depart:
      return note_departure(firing);
    case Role::arrive:
      return capture_arrival(firing);
    case Role::rows:
      if (!firing.before) return tell_present(firing, 'i');
      if (!firing.after) return tell_gone(firing);
      return capture_update(firing);
  }
}

// A truncate concerns every key, so it has none.
void capture_truncate(const CapturePlan& plan) {
  if (!plan.on_truncate.text) return;
  outbox_write(OutboxEvent{'t', plan.on_truncate.text, plan.on_truncate.length, nullptr, 0, "{}", 2, nullptr});
}

bool is_ours(const TriggerData* trigger) {
  if (!TRIGGER_FIRED_AFTER(trigger->tg_event)) return false;
  return TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event);
}

TriggerData* checked_trigger(FunctionCallInfo fcinfo) {
  auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
  if (!CALLED_AS_TRIGGER(fcinfo) || !is_ours(trigger))
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("muskrat.capture() is for the triggers that muskrat.attach() makes"),
                    errhint("Use muskrat.attach(…) to capture a table, muskrat.emit(…) to write an event yourself.")));
  return trigger;
}

Firing firing_of(const CapturePlan& plan, TriggerData* trigger) {
  if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event)) return Firing{plan, trigger, nullptr, trigger->tg_trigslot};
  if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event)) return Firing{plan, trigger, trigger->tg_trigslot, nullptr};
  return Firing{plan, trigger, trigger->tg_trigslot, trigger->tg_newslot};
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_capture);

PGDLLEXPORT Datum muskrat_capture(PG_FUNCTION_ARGS) {
  TriggerData* trigger = checked_trigger(fcinfo);
  const CapturePlan& plan = plan_for(trigger, fcinfo->flinfo);
  if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
    capture_truncate(plan);
  else
    capture_row(firing_of(plan, trigger));
  PG_RETURN_POINTER(nullptr);
}
}

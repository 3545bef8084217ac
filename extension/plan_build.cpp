extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
}

#include "extension/errors.hpp"
#include "extension/plan_build.hpp"

namespace {

struct Build {
  CapturePlan* plan;
  Relation relation;
  TupleDesc columns;
  const char* path[most_nesting];  // names of the nested objects that are open
  int depth;
};

template <typename T>
T* room_for(int count) {
  return static_cast<T*>(palloc0(sizeof(T) * Max(count, 1)));
}

// Null when there is none of that name that a trigger could read. PostgreSQL 18's virtual generated columns have no
// value in the row.
Form_pg_attribute find_column(const Build& build, const char* name) {
  for (int i = 0; i < build.columns->natts; i++) {
    Form_pg_attribute attribute = TupleDescAttr(build.columns, i);
    if (attribute->attisdropped || strcmp(NameStr(attribute->attname), name) != 0) continue;
    return attribute->attgenerated == 'v' ? nullptr : attribute;
  }
  return nullptr;
}

PlanColumn column_of(Build& build, Form_pg_attribute attribute) {
  build.plan->last_attnum = Max(build.plan->last_attnum, attribute->attnum);
  TypePlan* type = type_plan(attribute->atttypid, build.plan->memory);
  return PlanColumn{attribute->attnum, attribute->attbyval, attribute->attlen, type};
}

// Names are short text: no limit to think of.
const char* finished(Json& json, int* length) {
  json_byte(json, '\0');
  *length = json.length - 1;
  return json.data;
}

const char* label_of(const char* name, int* length) {
  Json json = json_buffer(MaxAllocSize / 2);
  json_member(json, name);
  return finished(json, length);
}

const char* path_of(const Build& build, const char* name) {
  StringInfoData path;
  initStringInfo(&path);
  for (int i = 0; i < build.depth; i++) appendStringInfo(&path, "%s.", build.path[i]);
  appendStringInfoString(&path, name);
  return path.data;
}

void add_column(Build& build, const char* member, const char* column) {
  CapturePlan& plan = *build.plan;
  Form_pg_attribute attribute = find_column(build, column);
  if (!attribute) {
    plan.missing[plan.missing_count++] = path_of(build, member);
    return;
  }
  PlanStep& step = plan.steps[plan.step_count++];
  step.kind = StepKind::column;
  step.label = label_of(member, &step.label_length);
  step.path = path_of(build, member);
  step.column = column_of(build, attribute);
  for (int i = 0; i < plan.key_count; i++)
    if (plan.key[i].attnum == attribute->attnum) step.is_key = true;
}

void open_object(Build& build, const char* member) {
  PlanStep& step = build.plan->steps[build.plan->step_count++];
  step.kind = StepKind::open;
  step.label = label_of(member, &step.label_length);
  build.path[build.depth++] = member;
}

void close_object(Build& build) {
  build.plan->steps[build.plan->step_count++].kind = StepKind::close;
  build.depth--;
}

void add_all_columns(Build& build) {
  for (int i = 0; i < build.columns->natts; i++) {
    Form_pg_attribute attribute = TupleDescAttr(build.columns, i);
    if (attribute->attisdropped) continue;
    const char* name = pstrdup(NameStr(attribute->attname));
    add_column(build, name, name);
  }
}

void add_steps(Build& build) {
  const Spec& spec = build.plan->spec;
  int most = spec.step_count + build.columns->natts;
  build.plan->steps = room_for<PlanStep>(most);
  build.plan->missing = room_for<const char*>(most);
  if (spec.all_columns) add_all_columns(build);
  for (int i = 0; i < spec.step_count; i++) {
    const SpecStep& step = spec.steps[i];
    switch (step.kind) {
      case StepKind::column:
        add_column(build, step.member, step.column);
        break;
      case StepKind::open:
        open_object(build, step.member);
        break;
      case StepKind::close:
        close_object(build);
        break;
    }
  }
}

void warn_of_missing(const Build& build) {
  const CapturePlan& plan = *build.plan;
  if (!plan.missing_count) return;
  StringInfoData names;
  initStringInfo(&names);
  for (int i = 0; i < plan.missing_count; i++) appendStringInfo(&names, "%s\"%s\"", i ? ", " : "", plan.missing[i]);
  ereport(WARNING, (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT),
                    errmsg("events of \"%s\" leave out what table \"%s\" no longer has: %s", plan.spec.name,
                           RelationGetRelationName(build.relation), names.data),
                    errhint("Attach the table anew: muskrat.attach(…, replace => true).")));
}

// The primary key's index, or InvalidOid; `key` gets a copy of its catalog row when there is one.
Oid primary_key_index(Relation relation, HeapTuple* row) {
  List* indexes = RelationGetIndexList(relation);
  ListCell* cell;
  foreach (cell, indexes) {
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(tuple)) continue;
    auto* index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    bool primary = index->indisprimary && index->indisvalid;
    if (primary) *row = heap_copytuple(tuple);
    ReleaseSysCache(tuple);
    if (primary) return lfirst_oid(cell);
  }
  return InvalidOid;
}

[[noreturn]] void refuse_without_key(const Build& build) {
  ereport(ERROR,
          (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT),
           errmsg("table \"%s\" has no primary key any more, by which \"%s\" orders its events",
                  RelationGetRelationName(build.relation), build.plan->spec.name),
           errhint("Attach the table anew and name the key: muskrat.attach(…, key => '{…}', replace => true); or "
                   "detach it.")));
  pg_unreachable();
}

[[noreturn]] void refuse_deferrable_key(const Build& build, Oid index) {
  ereport(ERROR,
          (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT),
           errmsg("the key of table \"%s\", by which \"%s\" orders its events, is deferrable now (constraint \"%s\")",
                  RelationGetRelationName(build.relation), build.plan->spec.name, get_rel_name(index)),
           errdetail("Two rows may hold one key until the transaction ends, so their events have no order."),
           errhint("Make the constraint NOT DEFERRABLE; or attach the table anew and name another key: "
                   "muskrat.attach(…, key => '{…}', replace => true); or detach it.")));
  pg_unreachable();
}

bool within_key(const CapturePlan& plan, const FormData_pg_index& index) {
  for (int k = 0; k < index.indnkeyatts; k++) {
    bool found = false;
    for (int i = 0; i < plan.key_count && !found; i++) found = index.indkey.values[k] == plan.key[i].attnum;
    if (!found) return false;
  }
  return true;
}

// What muskrat.check_key() refuses may have come to be by an ALTER TABLE. A constraint of more columns than the key has
// is left alone, for it may be there for something else; and so is one beside an index that keeps the key unique at
// once.
void require_immediate_key(const Build& build) {
  const CapturePlan& plan = *build.plan;
  Oid deferrable = InvalidOid;
  bool immediate = false;
  ListCell* cell;
  foreach (cell, RelationGetIndexList(build.relation)) {
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(tuple)) continue;
    auto* index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    const bool whole = index->indisunique && heap_attisnull(tuple, Anum_pg_index_indpred, nullptr);
    if (whole && within_key(plan, *index)) {
      if (!index->indimmediate && index->indnkeyatts == plan.key_count)
        deferrable = lfirst_oid(cell);
      else if (index->indimmediate && index->indisvalid)
        immediate = true;
    }
    ReleaseSysCache(tuple);
  }
  if (OidIsValid(deferrable) && !immediate) refuse_deferrable_key(build, deferrable);
}

void add_primary_key(Build& build, HeapTuple row) {
  if (!row) refuse_without_key(build);
  auto* index = reinterpret_cast<Form_pg_index>(GETSTRUCT(row));
  build.plan->key = room_for<PlanColumn>(index->indnkeyatts);
  for (int i = 0; i < index->indnkeyatts; i++)
    build.plan->key[build.plan->key_count++] =
        column_of(build, TupleDescAttr(build.columns, index->indkey.values[i] - 1));
}

void add_named_key(Build& build) {
  const Spec& spec = build.plan->spec;
  build.plan->key = room_for<PlanColumn>(spec.key.count);
  for (int i = 0; i < spec.key.count; i++) {
    Form_pg_attribute attribute = find_column(build, spec.key.items[i]);
    if (!attribute)
      ereport(ERROR,
              (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT),
               errmsg("table \"%s\" has no column \"%s\" any more, by which \"%s\" orders its events",
                      RelationGetRelationName(build.relation), spec.key.items[i], spec.name),
               errhint("Attach the table anew: muskrat.attach(…, key => '{…}', replace => true); or detach it.")));
    build.plan->key[build.plan->key_count++] = column_of(build, attribute);
  }
}

void add_key(Build& build) {
  HeapTuple row = nullptr;
  Oid index = primary_key_index(build.relation, &row);
  if (row && reinterpret_cast<Form_pg_index>(GETSTRUCT(row))->indimmediate) build.plan->identity_index = index;
  if (build.plan->spec.key.count)
    add_named_key(build);
  else
    add_primary_key(build, row);
  require_immediate_key(build);
}

void watch(Build& build, const PlanColumn& column) { build.plan->watched[build.plan->watched_count++] = column; }

// What an update must change to be told: the columns of changes_of, else what the body has.
void add_watched(Build& build) {
  CapturePlan& plan = *build.plan;
  plan.watched = room_for<PlanColumn>(plan.spec.changes_of.count + plan.step_count);
  for (int i = 0; i < plan.spec.changes_of.count; i++)
    if (Form_pg_attribute attribute = find_column(build, plan.spec.changes_of.items[i]))
      watch(build, column_of(build, attribute));
  if (plan.watched_count) return;
  for (int i = 0; i < plan.step_count; i++)
    if (plan.steps[i].kind == StepKind::column) watch(build, plan.steps[i].column);
}

RoutingKeyText routing_key(const Spec& spec, const char* word) {
  if (!word) return RoutingKeyText{nullptr, 0};
  const char* text = psprintf("%s.%s", spec.object, word);
  return RoutingKeyText{text, static_cast<int>(strlen(text))};
}

void add_routing_keys(CapturePlan& plan) {
  plan.on_insert = routing_key(plan.spec, plan.spec.insert_word);
  plan.on_update = routing_key(plan.spec, plan.spec.update_word);
  plan.on_delete = routing_key(plan.spec, plan.spec.delete_word);
  plan.on_truncate = routing_key(plan.spec, plan.spec.truncate_word);
  plan.on_backfill = routing_key(plan.spec, "Backfill");
  const char *insert = plan.spec.insert_word, *update = plan.spec.update_word;
  plan.words_present =
      insert && update && strcmp(insert, update) != 0 ? psprintf("%s %s", insert, update) : (insert ? insert : update);
}

// Each role takes the rows of one kind of event for granted.
void require_fitting_role(const Spec& spec, int16 type) {
  const int events = type & (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE);
  const int fitting = spec.role == Role::arrive   ? TRIGGER_TYPE_INSERT
                      : spec.role == Role::depart ? TRIGGER_TYPE_DELETE
                                                  : TRIGGER_TYPE_UPDATE;
  if (spec.role == Role::rows || events == fitting) return;
  ereport(ERROR, (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT),
                  errmsg("a trigger of \"%s\" fires on events that its role is not for", spec.name),
                  errhint("Triggers are made by muskrat.attach().")));
}

// The relation cache may drop the trigger's arguments while the plan lives.
char** copied_arguments(const Trigger* trigger) {
  char** copy = room_for<char*>(trigger->tgnargs);
  for (int i = 0; i < trigger->tgnargs; i++) copy[i] = pstrdup(trigger->tgargs[i]);
  return copy;
}

}  // namespace

CapturePlan* build_plan(TriggerData* trigger, MemoryContext memory) {
  MemoryContext previous = MemoryContextSwitchTo(memory);
  Build build{room_for<CapturePlan>(1), trigger->tg_relation, RelationGetDescr(trigger->tg_relation), {}, 0};
  build.plan->memory = memory;
  // All of it before anything is looked up, for then the trigger may be gone.
  const Trigger* made = trigger->tg_trigger;
  build.plan->condition = made->tgqual ? pstrdup(made->tgqual) : nullptr;
  build.plan->spec = parse_spec(copied_arguments(made), made->tgnargs);
  require_fitting_role(build.plan->spec, made->tgtype);
  add_routing_keys(*build.plan);
  if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event)) {
    add_key(build);
    add_steps(build);
    add_watched(build);
    warn_of_missing(build);
  }
  MemoryContextSwitchTo(previous);
  return build.plan;
}

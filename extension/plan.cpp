extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_index.h"
#include "commands/trigger.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
}

#include "extension/errors.hpp"
#include "extension/plan.hpp"
#include "extension/plan_build.hpp"

namespace {

struct Key {
  Oid relation;
  Oid trigger;
};

struct Entry {
  Key key;
  bool stale;
  CapturePlan* plan;
};

HTAB* plans;

HTAB* make_plans() {
  HASHCTL control{};
  control.keysize = sizeof(Key);
  control.entrysize = sizeof(Entry);
  control.hcxt = TopMemoryContext;
  return hash_create("muskrat plans", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void forget(Datum, Oid relation) {
  if (!plans) return;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, plans);
  while (auto* entry = static_cast<Entry*>(hash_seq_search(&scan)))
    if (!OidIsValid(relation) || entry->key.relation == relation) entry->stale = true;
}

Entry& entry_for(const TriggerData* trigger) {
  if (!plans) plans = make_plans();
  Key key{RelationGetRelid(trigger->tg_relation), trigger->tg_trigger->tgoid};
  bool found;
  auto* entry = static_cast<Entry*>(hash_search(plans, &key, HASH_ENTER, &found));
  if (!found) {
    entry->stale = true;
    entry->plan = nullptr;
  }
  return *entry;
}

// A plan that fails half-way dies with the transaction; a whole one is kept. Either way the one before dies with it: a
// WHEN condition that writes to this very table may be running under it.
void rebuild(Entry& entry, TriggerData* trigger) {
  MemoryContext memory = AllocSetContextCreate(TopTransactionContext, "muskrat plan", ALLOCSET_SMALL_SIZES);
  entry.stale = false;  // an invalidation during the build marks it again
  CapturePlan* previous = entry.plan;
  entry.plan = nullptr;
  if (previous) MemoryContextSetParent(previous->memory, TopTransactionContext);
  CapturePlan* plan = build_plan(trigger, memory);
  MemoryContextSetParent(memory, TopMemoryContext);
  entry.plan = plan;
}

}  // namespace

CapturePlan& plan_for(TriggerData* trigger, FmgrInfo* call) {
  auto* entry = static_cast<Entry*>(call->fn_extra);
  if (!entry) call->fn_extra = entry = &entry_for(trigger);
  if (entry->stale || !entry->plan) rebuild(*entry, trigger);
  return *entry->plan;
}

CapturePlan& plan_of(TriggerData* trigger) {
  Entry& entry = entry_for(trigger);
  if (entry.stale || !entry.plan) rebuild(entry, trigger);
  return *entry.plan;
}

void plan_init() { CacheRegisterRelcacheCallback(forget, 0); }

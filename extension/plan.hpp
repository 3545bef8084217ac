// The plan of one trigger on one relation: its specification with every name resolved to a column of this relation.
//
// Used by capture.cpp, which asks for it once per statement; key.cpp, body.cpp and newest.cpp work from it. A partition
// has its own plan, since its columns may stand in another order than the root's.
//
// Lifetime: plans live in a hash for the backend's life. DDL only marks them stale; the next call builds anew, and the
// old plan dies with the transaction, so that nobody's plan vanishes in use.
#pragma once

extern "C" {
#include "access/attnum.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
}

#include "extension/json_types.hpp"
#include "extension/spec.hpp"

struct PlanColumn {
  AttrNumber attnum;
  bool by_value;
  int16 length;
  TypePlan* type;
};

struct PlanStep {
  StepKind kind;
  const char* label;  // "name": of a column or a nested object, escaped
  int label_length;
  const char* path;  // dotted path in the body, for x-muskrat-omitted
  bool is_key;       // never left out
  PlanColumn column;
};

struct RoutingKeyText {
  const char* text;  // null: not captured
  int length;
};

struct CapturePlan {
  MemoryContext memory;
  Spec spec;
  const char* condition;  // the trigger's WHEN, as the catalog has it; null: none
  RoutingKeyText on_insert, on_update, on_delete, on_truncate, on_backfill;
  const char* words_present;  // the action words that tell that the row is there, or as it is now: "Signup Update"
  PlanStep* steps;
  int step_count;
  const char** missing;  // paths of columns that are gone from the table
  int missing_count;
  PlanColumn* key;
  int key_count;
  PlanColumn* watched;  // an update that changes none of these is not told
  int watched_count;
  int last_attnum;     // nothing beyond this column is read
  Oid identity_index;  // the primary key's index, when it is there and not deferrable
};

// The plan for the trigger that is firing. WARNS once, when it builds a plan, of columns that are gone; ERROR MK004
// when a key column is, or the key became deferrable.
CapturePlan& plan_for(TriggerData* trigger, FmgrInfo* call);

// The same for whoever is called for several triggers in one statement.
CapturePlan& plan_of(TriggerData* trigger);

// Registers the invalidation callback; called once from _PG_init.
void plan_init();

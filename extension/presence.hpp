// A row that is there, without a change that fires a trigger: by which plan it would be told, and who may ask.
//
// Used by backfill.cpp, which tells such rows, and verify.cpp, which only looks at what they would say.
#pragma once

extern "C" {
#include "access/tupdesc.h"
#include "fmgr.h"
}

#include "extension/plan.hpp"

// What a call from SQL looks up once in a statement.
struct PresenceCall {
  Oid capture;      // muskrat.capture(), by which attachments are known among the triggers of a table
  Oid checked;      // the table whose rights were looked at last,
  Oid checked_for;  // and whose rights these were
  TupleDesc shape;  // of the result
};
PresenceCall& presence_call(FunctionCallInfo fcinfo);

// The plan of the attachment's trigger that tells of inserts (or, where there is none, of updates) on this table; null
// when it has none. `source` becomes the insert that would have fired it, without its trigger: the relation cache may
// drop that at any time.
CapturePlan* plan_of_presence(Relation table, const char* attachment, Oid capture, TriggerData& source);

// As above; ERROR MK004 when there is none.
CapturePlan& plan_of_presence_or_error(Relation table, const char* attachment, Oid capture, TriggerData& source);

// Whether `allowed` holds for the table or, when it is a partition, for a table that it is part of: what is attached
// there is attached here.
bool of_it_or_ancestors(Relation table, bool (*allowed)(Oid relation));

// The caller's right to ask, by `require`, and that the relation has rows of its own: ERROR MK004 for a partitioned
// table, a view, a foreign table. Looks once for rows of one table.
void require_once(PresenceCall& call, Relation table, void (*require)(Relation table));

// Whether the place is one that the table has by now: what lies beyond its end cannot even be read.
bool is_inside(Relation table, const ItemPointerData& place);

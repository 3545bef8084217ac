// A row that is there, without a change that fires a trigger: by which plan it would be told, and who may ask.
//
// Used by backfill.cpp, which tells such rows, and verify.cpp, which only looks at what they would say.
#pragma once

#include "extension/plan.hpp"

// The OID of muskrat.capture(), by which attachments are known among the triggers of a table.
Oid capture_function();

// The plan of the attachment's trigger that tells of inserts (or, where there is none, of updates) on this table; null
// when it has none. `source` becomes the insert that would have fired it.
CapturePlan* plan_of_presence(Relation table, const char* attachment, Oid capture, TriggerData& source);

// As above; ERROR MK004 when there is none.
CapturePlan& plan_of_presence_or_error(Relation table, const char* attachment, Oid capture, TriggerData& source);

// Whether `allowed` holds for the table or, when it is a partition, for a table that it is part of: what is attached
// there is attached here.
bool of_it_or_ancestors(Relation table, bool (*allowed)(Oid relation));

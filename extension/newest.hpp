// Which version of a row is true by the time our trigger fires.
//
// Used by capture.cpp, backfill.cpp and verify.cpp. Triggers that fire before ours may have written the row again, and
// the events of those writes are in the outbox already; an event built from the version that we were given would then
// be the last word, and wrong. So an event is built from the newest version, or dropped when the row is gone (or, for a
// delete, there again).
//
// Follows the update chain by hand, of our own transaction's versions only: others wait for our lock. Heap tables only.
#pragma once

#include "extension/plan.hpp"

// What the trigger was given, and where further versions are fetched into.
struct Firing {
  const CapturePlan& plan;
  TriggerData* trigger;
  TupleTableSlot* before;  // null for INSERT
  TupleTableSlot* after;   // null for DELETE
};

// The newest version of `given` (one of the firing's two rows); null when the row is gone. Mostly `given` itself.
TupleTableSlot* newest_version(const Firing& firing, TupleTableSlot* given);

// Ends the use of what newest_version gave.
void release_version(TupleTableSlot* given, TupleTableSlot* version);

// Whether the row that `before` deleted, moved away from its key or took out of the condition is there again, under the
// same primary key and ordering key, told by an event that was captured before this one. Needs a primary key.
bool exists_again(const Firing& firing);

// Whether the trigger's WHEN condition (if any) holds for these rows.
bool when_holds(const Firing& firing, TupleTableSlot* before, TupleTableSlot* after);

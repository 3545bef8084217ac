// The ordering key of a row: <Source>.<Object>:<JSON array of the key's values>. docs/outbox-protocol.md defines it.
//
// Used by capture.cpp, tell.cpp, newest.cpp and emit.cpp.
#pragma once

#include "extension/plan.hpp"

struct OrderingKey {
  const char* text;
  int length;
};

// Reads the key's columns from the slot; allocates in the current memory context.
OrderingKey ordering_key(const CapturePlan& plan, TupleTableSlot* row);

// <object>:<values>, or with a hash in place of the values where that would be longer than 1,024 bytes.
OrderingKey ordering_key_of(const char* object, int object_length, const Json& values);

// Whether two versions of a row have the same ordering key. Cheap when nothing of it changed.
bool same_key(const CapturePlan& plan, TupleTableSlot* before, TupleTableSlot* after);

bool equal(const OrderingKey& a, const OrderingKey& b);

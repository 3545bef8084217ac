// Whether an update changed any of some columns, without reading what it did not touch.
//
// Used by capture.cpp (updates that change nothing captured are not told) and key.cpp.
#pragma once

#include "extension/plan.hpp"

bool any_changed(const PlanColumn* columns, int count, TupleTableSlot* before, TupleTableSlot* after);

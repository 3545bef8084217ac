// A row and a plan become an event of the outbox: the step that captured changes and backfill share, so that the same
// row gives the same key and the same bytes in both.
//
// Used by capture.cpp and backfill.cpp; key.cpp and body.cpp do the writing, outbox.cpp the insert.
#pragma once

#include "extension/plan.hpp"

// Both may be null, which is what a captured change has; outbox.hpp says what they are.
struct Addressed {
  const char* to;
  const char* as;
};

// Returns the length of the body. The id is drawn in here: the caller holds the row's lock.
int tell_row(const CapturePlan& plan, char op, const RoutingKeyText& routing_key, TupleTableSlot* row,
             Addressed addressed = {nullptr, nullptr});

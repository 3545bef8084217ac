// The body of a row's event, no larger than muskrat.max_body.
//
// Used by tell.cpp and verify.cpp. What is too large loses its largest columns, never the key's, and says which:
// endpoints leave those fields untouched. Sizes are judged before values are fetched, so a row of 300 MB costs no 300
// MB.
#pragma once

#include "extension/plan.hpp"

struct Body {
  const char* text;
  int length;
  const char* omitted;  // JSON array of dotted paths, or null
};

// Allocates in the current memory context. ERROR MK005 when the key's columns alone are too large.
Body build_body(const CapturePlan& plan, TupleTableSlot* row);

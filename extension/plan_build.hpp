// Building a plan: names to columns. Used by plan.cpp alone.
#pragma once

#include "extension/plan.hpp"

// Everything of the plan lives in `memory`.
CapturePlan* build_plan(TriggerData* trigger, MemoryContext memory);

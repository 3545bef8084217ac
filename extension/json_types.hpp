// How a value of a PostgreSQL type becomes JSON: one writer per type, found once and kept in a plan.
//
// Used by plan_build.cpp (which finds writers for columns), body.cpp and key.cpp (which call them). The writers live in
// json_number.cpp, json_time.cpp, json_nested.cpp and json_types.cpp; docs/event-format.md has the table of types.
//
// No writer looks at the session (TimeZone, DateStyle, IntervalStyle, extra_float_digits, bytea_output, lc_*,
// search_path): the same row gives the same bytes whoever wrote it.
//
// Lifetime: a TypePlan lives in the memory context of the plan it was made for.
#pragma once

extern "C" {
#include "fmgr.h"
}

#include "extension/json.hpp"

struct TypePlan {
  Oid declared;
  Oid type;  // below domains
  void (*write)(Json& json, Datum value, TypePlan& plan);
  int16 length;
  bool by_value;
  char align;
  bool json_not_shorter;  // the JSON has at least as many bytes as the value: its size tells without detoasting
  TypePlan* element;      // of an array, a range, a multirange (the range)
  FmgrInfo output;        // where PostgreSQL's own text is used
  int field_count;        // of a composite: its fields' plans, looked at anew for each value
  TypePlan** fields;
  MemoryContext memory;  // where element, fields and what output caches live
};

// The plan for a type; raises an ERROR only for types that cannot be a column's.
TypePlan* type_plan(Oid type, MemoryContext memory);

// json_number.cpp
void write_bool(Json&, Datum, TypePlan&);
void write_int2(Json&, Datum, TypePlan&);
void write_int4(Json&, Datum, TypePlan&);
void write_int8(Json&, Datum, TypePlan&);
void write_oid(Json&, Datum, TypePlan&);
void write_float4(Json&, Datum, TypePlan&);
void write_float8(Json&, Datum, TypePlan&);
void write_numeric(Json&, Datum, TypePlan&);
void write_money(Json&, Datum, TypePlan&);

// json_time.cpp
void write_date(Json&, Datum, TypePlan&);
void write_time(Json&, Datum, TypePlan&);
void write_timetz(Json&, Datum, TypePlan&);
void write_timestamp(Json&, Datum, TypePlan&);
void write_timestamptz(Json&, Datum, TypePlan&);
void write_interval(Json&, Datum, TypePlan&);

// json_nested.cpp
void write_array(Json&, Datum, TypePlan&);
void write_composite(Json&, Datum, TypePlan&);
void write_range(Json&, Datum, TypePlan&);
void write_multirange(Json&, Datum, TypePlan&);

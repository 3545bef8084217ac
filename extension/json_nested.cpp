// Values made of values: arrays, composites, ranges.
extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/arrayaccess.h"
#include "utils/multirangetypes.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"
}

#include "extension/json_types.hpp"

namespace {

void put_value(Json& json, Datum value, bool is_null, TypePlan& plan) {
  if (is_null)
    json_raw(json, "null");
  else
    plan.write(json, value, plan);
}

struct ArrayWalk {
  array_iter iterator;
  const int* sizes;
  int dimensions;
  int next;
  TypePlan* element;
};

void put_dimension(Json& json, ArrayWalk& walk, int dimension) {
  json_byte(json, '[');
  for (int i = 0; i < walk.sizes[dimension] && !json.overflowed; i++) {
    if (i) json_byte(json, ',');
    if (dimension + 1 < walk.dimensions) {
      put_dimension(json, walk, dimension + 1);
      continue;
    }
    bool is_null;
    const TypePlan& e = *walk.element;
    Datum value = array_iter_next(&walk.iterator, &is_null, walk.next++, e.length, e.by_value, e.align);
    put_value(json, value, is_null, *walk.element);
  }
  json_byte(json, ']');
}

// The plan of a composite's field. ALTER TYPE may have changed the composite since the last value.
TypePlan& field_plan(TypePlan& plan, int index, int count, Oid type) {
  if (plan.field_count < count) {
    auto** grown = static_cast<TypePlan**>(MemoryContextAllocZero(plan.memory, count * sizeof(void*)));
    for (int i = 0; i < plan.field_count; i++) grown[i] = plan.fields[i];
    plan.fields = grown;
    plan.field_count = count;
  }
  TypePlan*& field = plan.fields[index];
  if (!field || field->declared != type) field = type_plan(type, plan.memory);
  return *field;
}

void put_fields(Json& json, HeapTupleHeader row, TupleDesc shape, TypePlan& plan) {
  HeapTupleData tuple{};
  tuple.t_len = HeapTupleHeaderGetDatumLength(row);
  tuple.t_data = row;
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * shape->natts));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * shape->natts));
  heap_deform_tuple(&tuple, shape, values, nulls);
  json_byte(json, '{');
  for (int i = 0; i < shape->natts && !json.overflowed; i++) {
    Form_pg_attribute attribute = TupleDescAttr(shape, i);
    if (attribute->attisdropped) continue;
    json_separate(json);
    json_member(json, NameStr(attribute->attname));
    put_value(json, values[i], nulls[i], field_plan(plan, i, shape->natts, attribute->atttypid));
  }
  json_byte(json, '}');
}

void put_range(Json& json, TypeCacheEntry* cache, const RangeType* range, TypePlan& bound) {
  RangeBound lower, upper;
  bool empty;
  range_deserialize(cache, range, &lower, &upper, &empty);
  if (empty) return json_raw(json, "\"empty\"");
  json_raw(json, "{\"lower\":");
  put_value(json, lower.val, lower.infinite, bound);
  json_raw(json, ",\"upper\":");
  put_value(json, upper.val, upper.infinite, bound);
  char bounds[] = {lower.inclusive ? '[' : '(', upper.inclusive ? ']' : ')', 0};
  json_raw(json, ",\"bounds\":");
  json_plain_string(json, bounds);
  json_byte(json, '}');
}

}  // namespace

// Dimensions nest; lower bounds other than 1 are not told.
void write_array(Json& json, Datum value, TypePlan& plan) {
  check_stack_depth();
  auto* array = reinterpret_cast<AnyArrayType*>(DatumGetArrayTypeP(value));
  if (AARR_NDIM(array) == 0) return json_raw(json, "[]");
  ArrayWalk walk{{}, AARR_DIMS(array), AARR_NDIM(array), 0, plan.element};
  array_iter_setup(&walk.iterator, array);
  put_dimension(json, walk, 0);
}

void write_composite(Json& json, Datum value, TypePlan& plan) {
  check_stack_depth();
  HeapTupleHeader row = DatumGetHeapTupleHeader(value);
  TupleDesc shape = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
  put_fields(json, row, shape, plan);
  ReleaseTupleDesc(shape);
}

void write_range(Json& json, Datum value, TypePlan& plan) {
  check_stack_depth();
  put_range(json, lookup_type_cache(plan.type, TYPECACHE_RANGE_INFO), DatumGetRangeTypeP(value), *plan.element);
}

void write_multirange(Json& json, Datum value, TypePlan& plan) {
  check_stack_depth();
  const MultirangeType* ranges = DatumGetMultirangeTypeP(value);
  TypeCacheEntry* cache = lookup_type_cache(plan.type, TYPECACHE_MULTIRANGE_INFO)->rngtype;
  json_byte(json, '[');
  for (uint32 i = 0; i < ranges->rangeCount && !json.overflowed; i++) {
    if (i) json_byte(json, ',');
    put_range(json, cache, multirange_get_range(cache, ranges, static_cast<int>(i)), *plan.element->element);
  }
  json_byte(json, ']');
}

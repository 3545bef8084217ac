extern "C" {
#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
}

#include "extension/changes.hpp"
#include "extension/key.hpp"

namespace {

constexpr int longest_ordering_key = 1024;

void put_hash(Json& json, const Json& values) {
  text* input = cstring_to_text_with_len(values.data, values.length);
  bytea* hash = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(input)));
  static const char hex[] = "0123456789abcdef";
  json_byte(json, '#');
  for (int i = 0; i < static_cast<int>(VARSIZE_ANY_EXHDR(hash)); i++) {
    auto byte = static_cast<unsigned char>(VARDATA_ANY(hash)[i]);
    json_byte(json, hex[byte >> 4]);
    json_byte(json, hex[byte & 15]);
  }
}

}  // namespace

OrderingKey ordering_key_of(const char* object, int object_length, const Json& values) {
  Json key = json_buffer(MaxAllocSize / 2);
  json_raw(key, object, object_length);
  json_byte(key, ':');
  if (key.length + values.length <= longest_ordering_key)
    json_raw(key, values.data, values.length);
  else
    put_hash(key, values);
  return OrderingKey{key.data, key.length};
}

OrderingKey ordering_key(const CapturePlan& plan, TupleTableSlot* row) {
  Json values = json_buffer(MaxAllocSize / 2);
  values.canonical = true;
  json_byte(values, '[');
  for (int i = 0; i < plan.key_count; i++) {
    if (i) json_byte(values, ',');
    bool is_null;
    Datum value = slot_getattr(row, plan.key[i].attnum, &is_null);
    if (is_null)
      json_raw(values, "null");
    else
      plan.key[i].type->write(values, value, *plan.key[i].type);
  }
  json_byte(values, ']');
  return ordering_key_of(plan.spec.object, static_cast<int>(strlen(plan.spec.object)), values);
}

bool equal(const OrderingKey& a, const OrderingKey& b) {
  return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

bool same_key(const CapturePlan& plan, TupleTableSlot* before, TupleTableSlot* after) {
  if (!any_changed(plan.key, plan.key_count, before, after)) return true;
  return equal(ordering_key(plan, before), ordering_key(plan, after));  // 1.0 and 1.00 are one key
}

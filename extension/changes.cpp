extern "C" {
#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/datum.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
}

#include "extension/changes.hpp"

namespace {

// A value outside the row that the update did not touch keeps its pointer: no need to fetch it.
bool same_toast_pointer(Datum a, Datum b) {
  auto *pa = static_cast<char*>(DatumGetPointer(a)), *pb = static_cast<char*>(DatumGetPointer(b));
  return VARATT_IS_EXTERNAL_ONDISK(pa) && VARATT_IS_EXTERNAL_ONDISK(pb) && memcmp(pa, pb, VARSIZE_EXTERNAL(pa)) == 0;
}

bool changed(const PlanColumn& column, TupleTableSlot* before, TupleTableSlot* after) {
  bool old_null, new_null;
  Datum old_value = slot_getattr(before, column.attnum, &old_null);
  Datum new_value = slot_getattr(after, column.attnum, &new_null);
  if (old_null || new_null) return old_null != new_null;
  if (column.length == -1 && same_toast_pointer(old_value, new_value)) return false;
  return !datum_image_eq(old_value, new_value, column.by_value, column.length);
}

}  // namespace

bool any_changed(const PlanColumn* columns, int count, TupleTableSlot* before, TupleTableSlot* after) {
  for (int i = 0; i < count; i++)
    if (changed(columns[i], before, after)) return true;
  return false;
}

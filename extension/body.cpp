extern "C" {
#include "postgres.h"

#include "access/detoast.h"
#include "executor/tuptable.h"
#include "utils/memutils.h"
}

#include "extension/body.hpp"
#include "extension/errors.hpp"
#include "extension/settings.hpp"

namespace {

// Types whose JSON may be shorter than the value are tried up to this many times the limit.
constexpr int generosity = 4;

struct Fitting {
  const CapturePlan& plan;
  TupleTableSlot* row;
  int limit;
  bool* left_out;  // per step
  int64* size;     // per step: bytes of JSON, as far as known
};

// The least that a column's JSON can have, without fetching the value.
int64 least_size(const PlanColumn& column, TupleTableSlot* row, int limit) {
  if (column.length != -1) return 0;
  bool is_null;
  Datum value = slot_getattr(row, column.attnum, &is_null);
  if (is_null) return 0;
  auto size = static_cast<int64>(toast_raw_datum_size(value)) - VARHDRSZ;
  return column.type->json_not_shorter || size > static_cast<int64>(limit) * generosity ? size : 0;
}

void write_column(Json& json, const PlanStep& step, TupleTableSlot* row) {
  json_separate(json);
  json_raw(json, step.label, step.label_length);
  bool is_null;
  Datum value = slot_getattr(row, step.column.attnum, &is_null);
  if (is_null)
    json_raw(json, "null");
  else
    step.column.type->write(json, value, *step.column.type);
}

void write_step(Json& json, const PlanStep& step, TupleTableSlot* row) {
  switch (step.kind) {
    case StepKind::column:
      return write_column(json, step, row);
    case StepKind::close:
      return json_byte(json, '}');
    case StepKind::open:
      json_separate(json);
      json_raw(json, step.label, step.label_length);
      return json_byte(json, '{');
  }
}

// Writes everything that is not left out; stops where the limit is passed.
Json write_body(Fitting& fitting) {
  Json json = json_buffer(fitting.limit);
  json_byte(json, '{');
  for (int i = 0; i < fitting.plan.step_count && !json.overflowed; i++) {
    if (!fitting.left_out[i]) write_step(json, fitting.plan.steps[i], fitting.row);
  }
  json_byte(json, '}');
  return json;
}

// What each column takes that could be left out. One that goes past the limit by itself is looked at no further: it
// has to go, whatever it takes.
void measure(Fitting& fitting) {
  for (int i = 0; i < fitting.plan.step_count; i++) {
    const PlanStep& step = fitting.plan.steps[i];
    if (step.kind != StepKind::column || step.is_key || fitting.left_out[i]) continue;
    Json json = json_buffer(fitting.limit);
    write_column(json, step, fitting.row);
    const int64 took = json.overflowed ? int64{fitting.limit} + 1 : json.length;
    fitting.size[i] = Max(fitting.size[i], took);
    pfree(json.data);
  }
}

void leave_out_largest(Fitting& fitting) {
  int largest = -1;
  for (int i = 0; i < fitting.plan.step_count; i++) {
    const PlanStep& step = fitting.plan.steps[i];
    if (step.kind != StepKind::column || step.is_key || fitting.left_out[i]) continue;
    if (largest < 0 || fitting.size[i] > fitting.size[largest]) largest = i;
  }
  if (largest < 0)
    ereport(ERROR, (errcode(ERRCODE_MUSKRAT_EVENT_REFUSED),
                    errmsg("an event of \"%s\" does not fit muskrat.max_body, even with its key alone",
                           fitting.plan.spec.name),
                    errhint("Raise muskrat.max_body (15 MB at most), or order the events by a shorter key.")));
  fitting.left_out[largest] = true;
}

// Leaves out what is known to be too large before anything is fetched.
void foresee(Fitting& fitting) {
  int64 sum = 0;
  for (int i = 0; i < fitting.plan.step_count; i++) {
    const PlanStep& step = fitting.plan.steps[i];
    if (step.kind == StepKind::column) fitting.size[i] = least_size(step.column, fitting.row, fitting.limit);
    sum += fitting.size[i];
  }
  while (sum > fitting.limit) {
    leave_out_largest(fitting);
    sum = 0;
    for (int i = 0; i < fitting.plan.step_count; i++)
      if (!fitting.left_out[i]) sum += fitting.size[i];
  }
}

void put_path(Json& json, const char* path) {
  json_separate(json);
  json_string(json, path, static_cast<int>(strlen(path)));
}

bool anything_omitted(const Fitting& fitting) {
  bool any = fitting.plan.missing_count > 0;
  for (int i = 0; i < fitting.plan.step_count; i++) any |= fitting.left_out[i];
  return any;
}

const char* omitted_paths(const Fitting& fitting) {
  if (!anything_omitted(fitting)) return nullptr;
  Json json = json_buffer(MaxAllocSize / 2);
  json_byte(json, '[');
  for (int i = 0; i < fitting.plan.missing_count; i++) put_path(json, fitting.plan.missing[i]);
  for (int i = 0; i < fitting.plan.step_count; i++)
    if (fitting.left_out[i]) put_path(json, fitting.plan.steps[i].path);
  json_raw(json, "]\0", 2);
  return json.data;
}

}  // namespace

Body build_body(const CapturePlan& plan, TupleTableSlot* row) {
  int steps = Max(plan.step_count, 1);
  Fitting fitting{plan, row, max_body_bytes(), static_cast<bool*>(palloc0(sizeof(bool) * steps)),
                  static_cast<int64*>(palloc0(sizeof(int64) * steps))};
  slot_getsomeattrs(row, plan.last_attnum);
  foresee(fitting);
  for (bool measured = false;; measured = true) {
    Json json = write_body(fitting);
    if (!json.overflowed) return Body{json.data, json.length, omitted_paths(fitting)};
    pfree(json.data);
    if (!measured) measure(fitting);
    leave_out_largest(fitting);
  }
}

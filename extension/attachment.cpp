// What sql/attach.sql cannot say in SQL: an attachment read back from its trigger, errors with our SQLSTATE, and the
// nearest name to a misspelt one.
extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/varlena.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
}

#include "extension/errors.hpp"
#include "extension/json.hpp"
#include "extension/spec.hpp"

namespace {

Datum text_or_null(const char* value, bool* is_null) {
  *is_null = !value;
  return value ? CStringGetTextDatum(value) : Datum(0);
}

Datum text_array(const char** items, int count, bool* is_null) {
  *is_null = count == 0;
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * Max(count, 1)));
  for (int i = 0; i < count; i++) values[i] = CStringGetTextDatum(items[i]);
  return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

void put_name(Json& json, const char* name) { json_string(json, name, static_cast<int>(strlen(name))); }

void put_column(Json& json, const SpecStep& step) {
  json_separate(json);
  if (strcmp(step.member, step.column) == 0) return put_name(json, step.column);
  json_byte(json, '{');
  json_member(json, step.member);
  put_name(json, step.column);
  json_byte(json, '}');
}

// The body as muskrat.attach() takes it, so that it can be given again.
const char* columns_argument(const Spec& spec) {
  if (spec.all_columns) return "*";
  Json json = json_buffer(MaxAllocSize / 2);
  json_byte(json, '[');
  for (int i = 0; i < spec.step_count; i++) {
    const SpecStep& step = spec.steps[i];
    if (step.kind == StepKind::column) {
      put_column(json, step);
    } else if (step.kind == StepKind::close) {
      json_raw(json, "]}", 2);
    } else {
      json_separate(json);
      json_byte(json, '{');
      json_member(json, step.member);
      json_byte(json, '[');
    }
  }
  json_raw(json, "]\0", 2);
  return json.data;
}

Datum columns_used(const Spec& spec, bool* is_null) {
  const char** names = static_cast<const char**>(palloc(sizeof(char*) * Max(spec.step_count, 1)));
  int count = 0;
  for (int i = 0; i < spec.step_count; i++)
    if (spec.steps[i].kind == StepKind::column) names[count++] = spec.steps[i].column;
  return text_array(names, count, is_null);
}

// tgargs: each argument ended by a zero byte, or whatever else somebody calls so.
char** split_arguments(bytea* arguments, int* count) {
  char* at = VARDATA_ANY(arguments);
  char* end = at + VARSIZE_ANY_EXHDR(arguments);
  auto** items = static_cast<char**>(palloc(sizeof(char*) * (end - at + 1)));
  *count = 0;
  while (at < end) {
    const size_t length = strnlen(at, end - at);
    pg_verifymbstr(at, static_cast<int>(length), false);
    items[(*count)++] = pnstrdup(at, length);
    at += length + 1;
  }
  return items;
}

const char* text_argument(FunctionCallInfo fcinfo, int index) {
  return PG_ARGISNULL(index) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(index));
}

// A name further away than this is another name.
constexpr int farthest_likeness = 3;

int distance(const char* a, const char* b) {
  return varstr_levenshtein_less_equal(a, static_cast<int>(strlen(a)), b, static_cast<int>(strlen(b)), 1, 1, 1,
                                       farthest_likeness, true);
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_attachment);
PG_FUNCTION_INFO_V1(muskrat_refuse);
PG_FUNCTION_INFO_V1(muskrat_nearest);

// muskrat.attachment(tgargs bytea) → (name, object, on_insert, on_update, on_delete, on_truncate, key, changes_of,
// columns, columns_used, problem): as far as it can be read; the body's columns only of what has no problem
PGDLLEXPORT Datum muskrat_attachment(PG_FUNCTION_ARGS) {
  int count;
  char** arguments = split_arguments(PG_GETARG_BYTEA_PP(0), &count);
  SpecProblem problem;
  Spec spec = read_spec(arguments, count, &problem);
  if (problem.message) spec.step_count = 0;
  TupleDesc shape;
  if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  bool nulls[11];
  Datum values[11] = {text_or_null(spec.name, &nulls[0]),
                      text_or_null(spec.object, &nulls[1]),
                      text_or_null(spec.insert_word, &nulls[2]),
                      text_or_null(spec.update_word, &nulls[3]),
                      text_or_null(spec.delete_word, &nulls[4]),
                      text_or_null(spec.truncate_word, &nulls[5]),
                      text_array(spec.key.items, spec.key.count, &nulls[6]),
                      text_array(spec.changes_of.items, spec.changes_of.count, &nulls[7]),
                      text_or_null(problem.message ? nullptr : columns_argument(spec), &nulls[8]),
                      columns_used(spec, &nulls[9]),
                      text_or_null(problem.message, &nulls[10])};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

// muskrat.refuse(message text, detail text, hint text): ERROR MK004; detail and hint may be NULL
PGDLLEXPORT Datum muskrat_refuse(PG_FUNCTION_ARGS) {
  const char *message = text_argument(fcinfo, 0), *detail = text_argument(fcinfo, 1), *hint = text_argument(fcinfo, 2);
  ereport(ERROR, (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT), errmsg("%s", message ? message : "refused"),
                  detail ? errdetail("%s", detail) : 0, hint ? errhint("%s", hint) : 0));
  PG_RETURN_VOID();
}

// muskrat.nearest(word text, candidates text[]) → text: the one most like it, NULL when none is
PGDLLEXPORT Datum muskrat_nearest(PG_FUNCTION_ARGS) {
  const char* word = text_to_cstring(PG_GETARG_TEXT_PP(0));
  Datum* candidates;
  bool* nulls;
  int count, best = farthest_likeness + 1;
  const char* nearest = nullptr;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &candidates, &nulls, &count);
  for (int i = 0; i < count; i++) {
    if (nulls[i]) continue;
    const char* candidate = TextDatumGetCString(candidates[i]);
    int d = distance(word, candidate);
    if (d >= best) continue;
    best = d;
    nearest = candidate;
  }
  if (!nearest) PG_RETURN_NULL();
  PG_RETURN_TEXT_P(cstring_to_text(nearest));
}
}

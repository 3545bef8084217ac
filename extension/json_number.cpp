// Numbers and booleans. Digits are exact: no number passes through a double that was not one.
extern "C" {
#include "postgres.h"

#include "common/shortest_dec.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/cash.h"
#include "utils/numeric.h"
}

#include <math.h>

#include "extension/json_types.hpp"

namespace {

constexpr int integer_text_size = 24;

void put_integer(Json& json, int64 value) {
  char text[integer_text_size];
  json_raw(json, text, pg_lltoa(value, text));
}

// JSON has no word for these.
bool put_if_not_finite(Json& json, double value) {
  if (isnan(value))
    json_raw(json, "\"NaN\"");
  else if (isinf(value))
    json_raw(json, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
  else
    return false;
  return true;
}

// 1.50 → 1.5, 2.0 → 2, -0.00 → 0 (numeric has no minus zero, so its text has none either).
int without_trailing_zeros(const char* text, int count) {
  if (!memchr(text, '.', count)) return count;
  while (text[count - 1] == '0') count--;
  return text[count - 1] == '.' ? count - 1 : count;
}

}  // namespace

void write_bool(Json& json, Datum value, TypePlan&) { json_raw(json, DatumGetBool(value) ? "true" : "false"); }
void write_int2(Json& json, Datum value, TypePlan&) { put_integer(json, DatumGetInt16(value)); }
void write_int4(Json& json, Datum value, TypePlan&) { put_integer(json, DatumGetInt32(value)); }
void write_int8(Json& json, Datum value, TypePlan&) { put_integer(json, DatumGetInt64(value)); }
void write_oid(Json& json, Datum value, TypePlan&) { put_integer(json, DatumGetObjectId(value)); }

void write_float4(Json& json, Datum value, TypePlan&) {
  float number = DatumGetFloat4(value);
  if (json.canonical && number == 0) number = 0;  // -0 is the same key
  if (put_if_not_finite(json, number)) return;
  char text[FLOAT_SHORTEST_DECIMAL_LEN];
  json_raw(json, text, float_to_shortest_decimal_buf(number, text));
}

void write_float8(Json& json, Datum value, TypePlan&) {
  double number = DatumGetFloat8(value);
  if (json.canonical && number == 0) number = 0;
  if (put_if_not_finite(json, number)) return;
  char text[DOUBLE_SHORTEST_DECIMAL_LEN];
  json_raw(json, text, double_to_shortest_decimal_buf(number, text));
}

void write_numeric(Json& json, Datum value, TypePlan&) {
  const char* text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
  if (strpbrk(text, "NI")) return json_plain_string(json, text);
  int count = static_cast<int>(strlen(text));
  json_raw(json, text, json.canonical ? without_trailing_zeros(text, count) : count);
}

// The stored integer, read with two decimals: money's own text follows lc_monetary, which a session may set.
void write_money(Json& json, Datum value, TypePlan&) {
  Cash cents = DatumGetCash(value);
  uint64 size = cents < 0 ? 0 - static_cast<uint64>(cents) : static_cast<uint64>(cents);
  char text[integer_text_size + 4];
  int count = snprintf(text, sizeof text, "%s" UINT64_FORMAT ".%02d", cents < 0 ? "-" : "", size / 100,
                       static_cast<int>(size % 100));
  json_raw(json, text, json.canonical ? without_trailing_zeros(text, count) : count);
}

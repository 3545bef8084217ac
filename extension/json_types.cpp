// Which writer a type gets, and the writers that need PostgreSQL's own text.
extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
#include "utils/uuid.h"
}

#include "extension/json_types.hpp"

namespace {

void write_text(Json& json, Datum value, TypePlan&) {
  text* t = DatumGetTextPP(value);
  json_string(json, VARDATA_ANY(t), static_cast<int>(VARSIZE_ANY_EXHDR(t)));
}

// Trailing blanks of char(n) mean nothing: its own conversion to text drops them too.
void write_bpchar(Json& json, Datum value, TypePlan&) {
  BpChar* t = DatumGetBpCharPP(value);
  int count = static_cast<int>(VARSIZE_ANY_EXHDR(t));
  while (count > 0 && VARDATA_ANY(t)[count - 1] == ' ') count--;
  json_string(json, VARDATA_ANY(t), count);
}

void write_name(Json& json, Datum value, TypePlan&) {
  const char* name = NameStr(*DatumGetName(value));
  json_string(json, name, static_cast<int>(strlen(name)));
}

// "char" is a byte. Above ASCII it is written as PostgreSQL 16 shows it, \ooo.
void write_char(Json& json, Datum value, TypePlan&) {
  auto byte = static_cast<unsigned char>(DatumGetChar(value));
  char shown[8];
  int count =
      byte < 0x80 ? (shown[0] = static_cast<char>(byte), byte ? 1 : 0) : snprintf(shown, sizeof shown, "\\%03o", byte);
  json_string(json, shown, count);
}

void write_bytea(Json& json, Datum value, TypePlan&) {
  bytea* bytes = DatumGetByteaPP(value);
  json_base64(json, VARDATA_ANY(bytes), static_cast<int>(VARSIZE_ANY_EXHDR(bytes)));
}

void write_uuid(Json& json, Datum value, TypePlan&) {
  json_plain_string(json, DatumGetCString(DirectFunctionCall1(uuid_out, value)));
}

void write_json(Json& json, Datum value, TypePlan&) {
  text* t = DatumGetTextPP(value);
  json_document(json, VARDATA_ANY(t), static_cast<int>(VARSIZE_ANY_EXHDR(t)));
}

void write_jsonb(Json& json, Datum value, TypePlan&) {
  Jsonb* document = DatumGetJsonbP(value);
  const char* text = JsonbToCString(nullptr, &document->root, VARSIZE(document));
  json_document(json, text, static_cast<int>(strlen(text)));
}

void write_output(Json& json, Datum value, TypePlan& plan) {
  const char* text = OutputFunctionCall(&plan.output, value);
  json_string(json, text, static_cast<int>(strlen(text)));
}

void pin(const char* setting, const char* value) {
  set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

// The same for types whose output may follow the session. An ERROR inside lets go of the settings with the transaction.
void write_pinned_output(Json& json, Datum value, TypePlan& plan) {
  int level = NewGUCNestLevel();
  pin("search_path", "pg_catalog");
  pin("timezone", "UTC");
  pin("datestyle", "ISO, YMD");
  pin("intervalstyle", "iso_8601");
  pin("extra_float_digits", "1");
  pin("bytea_output", "hex");
  write_output(json, value, plan);
  AtEOXact_GUC(true, level);
}

struct Known {
  Oid type;
  void (*write)(Json&, Datum, TypePlan&);
  bool json_not_shorter;
};

// What is not here is an array, a range, an enum, a composite, or goes through its output function with settings
// pinned.
constexpr Known known[] = {
    {BOOLOID, write_bool, false},
    {INT2OID, write_int2, false},
    {INT4OID, write_int4, false},
    {INT8OID, write_int8, false},
    {OIDOID, write_oid, false},
    {FLOAT4OID, write_float4, false},
    {FLOAT8OID, write_float8, false},
    {NUMERICOID, write_numeric, false},
    {CASHOID, write_money, false},
    {TEXTOID, write_text, true},
    {VARCHAROID, write_text, true},
    {BPCHAROID, write_bpchar, false},
    {NAMEOID, write_name, false},
    {CHAROID, write_char, false},
    {BYTEAOID, write_bytea, true},
    {UUIDOID, write_uuid, false},
    {JSONOID, write_json, false},
    {JSONBOID, write_jsonb, false},
    {DATEOID, write_date, false},
    {TIMEOID, write_time, false},
    {TIMETZOID, write_timetz, false},
    {TIMESTAMPOID, write_timestamp, false},
    {TIMESTAMPTZOID, write_timestamptz, false},
    {INTERVALOID, write_interval, false},
    {INETOID, write_output, false},
    {CIDROID, write_output, false},
    {MACADDROID, write_output, false},
    {MACADDR8OID, write_output, false},
    {BITOID, write_output, true},
    {VARBITOID, write_output, true},
    {TSVECTOROID, write_output, false},
    {TSQUERYOID, write_output, false},
    {XMLOID, write_output, false},
    {PG_LSNOID, write_output, false},
    {JSONPATHOID, write_output, false},
    {TIDOID, write_output, false},
    {XIDOID, write_output, false},
    {CIDOID, write_output, false},
    {XID8OID, write_output, false},
    {PG_SNAPSHOTOID, write_output, false},
};

bool use_known(TypePlan& plan) {
  for (const Known& k : known) {
    if (k.type != plan.type) continue;
    plan.write = k.write;
    plan.json_not_shorter = k.json_not_shorter;
    return true;
  }
  return false;
}

bool use_nested(TypePlan& plan) {
  if (Oid element = get_element_type(plan.type); OidIsValid(element)) {
    plan.write = write_array;
    plan.element = type_plan(element, plan.memory);
  } else if (Oid subtype = get_range_subtype(plan.type); OidIsValid(subtype)) {
    plan.write = write_range;
    plan.element = type_plan(subtype, plan.memory);
  } else if (Oid range = get_multirange_range(plan.type); OidIsValid(range)) {
    plan.write = write_multirange;
    plan.element = type_plan(range, plan.memory);
  } else if (type_is_rowtype(plan.type)) {
    plan.write = write_composite;
  } else {
    return false;
  }
  return true;
}

void use_output_function(TypePlan& plan) { plan.write = type_is_enum(plan.type) ? write_output : write_pinned_output; }

}  // namespace

TypePlan* type_plan(Oid type, MemoryContext memory) {
  check_stack_depth();
  auto* plan = static_cast<TypePlan*>(MemoryContextAllocZero(memory, sizeof(TypePlan)));
  plan->declared = type;
  plan->type = getBaseType(type);
  plan->memory = memory;
  get_typlenbyvalalign(plan->type, &plan->length, &plan->by_value, &plan->align);
  if (!use_known(*plan) && !use_nested(*plan)) use_output_function(*plan);
  Oid output;
  bool is_varlena;
  getTypeOutputInfo(plan->type, &output, &is_varlena);
  fmgr_info_cxt(output, &plan->output, memory);
  return plan;
}

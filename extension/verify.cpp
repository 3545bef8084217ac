// muskrat.row_as_event(): what an event would say of a row, without telling it.
//
// Used by `muskrat verify` for each row of a chunk, in the statement that reads the chunk: the row is fetched under
// that statement's snapshot, nothing is locked and nothing is written. Whoever may read the table's rows may ask; row
// security is refused, for rows that it hides would look like rows that are gone.
extern "C" {
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
}

#include "extension/body.hpp"
#include "extension/newest.hpp"
#include "extension/presence.hpp"

namespace {

bool readable(Oid relation) {
  return pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
         check_enable_rls(relation, InvalidOid, true) != RLS_ENABLED;
}

void require_reader(Relation table) {
  if (of_it_or_ancestors(table, readable)) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("you may not read every row of table %s", RelationGetRelationName(table)),
                  errhint("It takes SELECT on the whole table, and no row security that applies to you.")));
}

HeapTuple told(Relation table, TupleTableSlot* row, const char* attachment, const PresenceCall& call) {
  TriggerData source;
  CapturePlan& plan = plan_of_presence_or_error(table, attachment, call.capture, source);
  Datum values[2] = {};
  bool nulls[2] = {true, true};
  if (when_holds(Firing{plan, &source, row, row}, row, row)) {
    Body body = build_body(plan, row);
    values[0] = PointerGetDatum(cstring_to_text_with_len(body.text, body.length));
    nulls[0] = false;
    if (body.omitted) values[1] = CStringGetTextDatum(body.omitted);
    nulls[1] = !body.omitted;
  }
  return heap_form_tuple(call.shape, values, nulls);
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_row_as_event);

// muskrat.row_as_event(relation oid, place tid, attachment text) → (body text, omitted text). Strict. The relation is a
// table with rows of its own: a partition, not its root. Both NULL: the attachment does not mean this row. NULL: the
// statement's snapshot has no row in that place. ERROR MK004 for what has no rows of its own.
PGDLLEXPORT Datum muskrat_row_as_event(PG_FUNCTION_ARGS) {
  PresenceCall& call = presence_call(fcinfo);
  Relation table = table_open(PG_GETARG_OID(0), AccessShareLock);
  require_once(call, table, require_reader);
  auto* place = reinterpret_cast<ItemPointer>(PG_GETARG_POINTER(1));
  TupleTableSlot* row = table_slot_create(table, nullptr);
  HeapTuple result = nullptr;
  if (is_inside(table, *place) && table_tuple_fetch_row_version(table, place, GetActiveSnapshot(), row))
    result = told(table, row, text_to_cstring(PG_GETARG_TEXT_PP(2)), call);
  ExecDropSingleTupleTableSlot(row);
  table_close(table, NoLock);
  if (!result) PG_RETURN_NULL();
  PG_RETURN_DATUM(HeapTupleGetDatum(result));
}
}

extern "C" {
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteManip.h"
#include "storage/itemptr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

#include "extension/key.hpp"
#include "extension/newest.hpp"
#include "extension/row_header.hpp"

namespace {

bool is_end_of_chain(RowHeader& header) {
  return HeapTupleHeaderIndicatesMovedPartitions(&header.row) || ItemPointerEquals(&header.row.t_ctid, &header.place);
}

// The command that deleted or replaced the row, against the one that runs now: when nothing ran in between, nothing
// can have put the row back. Bulk deletes stay on this path.
bool something_ran_since(RowHeader header) {
  return we_wrote_over(&header.row) && GetCurrentCommandId(false) != HeapTupleHeaderGetCmax(&header.row);
}

void fill_scan_key(ScanKeyData& key, Relation index, int position, Datum value) {
  Oid type = index->rd_opcintype[position];
  Oid equals = get_opfamily_member(index->rd_opfamily[position], type, type, BTEqualStrategyNumber);
  ScanKeyEntryInitialize(&key, 0, static_cast<AttrNumber>(position + 1), BTEqualStrategyNumber, InvalidOid,
                         index->rd_indcollation[position], get_opcode(equals), value);
}

int fill_scan_keys(ScanKeyData* keys, Relation index, TupleTableSlot* row) {
  int count = IndexRelationGetNumberOfKeyAttributes(index);
  for (int i = 0; i < count; i++) {
    bool is_null;
    Datum value = slot_getattr(row, index->rd_index->indkey.values[i], &is_null);
    fill_scan_key(keys[i], index, i, value);
  }
  return count;
}

IndexScanDesc begin_scan(Relation table, Relation index, int key_count) {
#if PG_VERSION_NUM >= 180000
  return index_beginscan(table, index, SnapshotSelf, nullptr, key_count, 0);
#else
  return index_beginscan(table, index, SnapshotSelf, key_count, 0);
#endif
}

// The row that has the primary key of `row` now, fetched into `found`.
bool find_by_primary_key(const Firing& firing, TupleTableSlot* row, TupleTableSlot* found) {
  Relation table = firing.trigger->tg_relation;
  Relation index = index_open(firing.plan.identity_index, AccessShareLock);
  ScanKeyData keys[INDEX_MAX_KEYS];
  int count = fill_scan_keys(keys, index, row);
  IndexScanDesc scan = begin_scan(table, index, count);
  index_rescan(scan, keys, count, nullptr, 0);
  bool exists = index_getnext_slot(scan, ForwardScanDirection, found);
  if (exists) ExecMaterializeSlot(found);
  index_endscan(scan);
  index_close(index, AccessShareLock);
  return exists;
}

ExprState* prepare_when(const char* condition, EState* state) {
  auto* tree = static_cast<Node*>(stringToNode(condition));
  ChangeVarNodes(tree, PRS2_OLD_VARNO, INNER_VAR, 0);
  ChangeVarNodes(tree, PRS2_NEW_VARNO, OUTER_VAR, 0);
  return ExecPrepareQual(make_ands_implicit(reinterpret_cast<Expr*>(tree)), state);
}

}  // namespace

bool when_holds(const Firing& firing, TupleTableSlot* before, TupleTableSlot* after) {
  const char* condition = firing.plan.condition;
  if (!condition) return true;
  EState* state = CreateExecutorState();
  MemoryContext previous = MemoryContextSwitchTo(state->es_query_cxt);
  ExprState* when = prepare_when(condition, state);
  MemoryContextSwitchTo(previous);
  ExprContext* context = GetPerTupleExprContext(state);
  context->ecxt_innertuple = before;
  context->ecxt_outertuple = after;
  bool holds = ExecQual(when, context);
  FreeExecutorState(state);
  return holds;
}

TupleTableSlot* newest_version(const Firing& firing, TupleTableSlot* given) {
  Relation table = firing.trigger->tg_relation;
  if (!is_heap(table)) return given;
  TupleTableSlot* newest = given;
  for (RowHeader header = header_of(given); we_wrote_over(&header.row); header = header_of(newest)) {
    bool ended = is_end_of_chain(header);
    ItemPointerData next = header.row.t_ctid;
    if (!ended && newest == given) newest = table_slot_create(table, nullptr);
    if (!ended && table_tuple_fetch_row_version(table, &next, SnapshotAny, newest)) continue;
    release_version(given, newest);
    return nullptr;
  }
  return newest;
}

void release_version(TupleTableSlot* given, TupleTableSlot* version) {
  if (version && version != given) ExecDropSingleTupleTableSlot(version);
}

// The condition is not stored by itself, only within each trigger's WHEN. That of the trigger for rows that leave says
// that it held before and does not now.
static bool meets_condition(const Firing& firing, TupleTableSlot* row) {
  if (firing.plan.spec.role == Role::leave) return !when_holds(firing, firing.before, row);
  return when_holds(firing, row, row);
}

bool exists_again(const Firing& firing) {
  Relation table = firing.trigger->tg_relation;
  if (!OidIsValid(firing.plan.identity_index) || !is_heap(table)) return false;
  if (!something_ran_since(header_of(firing.before))) return false;
  TupleTableSlot* found = table_slot_create(table, nullptr);
  bool exists = find_by_primary_key(firing, firing.before, found) &&
                equal(ordering_key(firing.plan, found), ordering_key(firing.plan, firing.before)) &&
                meets_condition(firing, found);
  ExecDropSingleTupleTableSlot(found);
  return exists;
}

#include "extension/segment.hpp"

#include <cstring>

#include "extension/cells.hpp"

extern "C" {
#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/primnodes.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
}

namespace {

struct Field {
  const char* name;
  Oid type;
};

// In the order of OutboxField. A segment may have more columns, and never fewer.
constexpr Field fields[] = {
    {"id", INT8OID},           {"xid", XID8OID},  {"captured_at", TIMESTAMPTZOID},
    {"message_id", UUIDOID},   {"op", CHAROID},   {"routing_key", TEXTOID},
    {"ordering_key", TEXTOID}, {"body", TEXTOID}, {"headers", TEXTOID},
};
static_assert(lengthof(fields) == FIELD_COUNT);

// What was found out about a segment holds until the relcache says otherwise, over transactions; that it is locked, for
// one transaction at most.
struct Examined {
  Segment segment;
  uint64 generation;  // of the outbox's relations; 0: never
};

Examined examined[segment_count];
Examined* held = nullptr;
Examined* held_before = nullptr;

void forget_at_end(XactEvent event, void*) {
  if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE) held = nullptr;
}

void forget_at_rollback(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
  if (event == SUBXACT_EVENT_ABORT_SUB) held = nullptr;
}

[[noreturn]] void report_not_installed() {
  ereport(ERROR,
          (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the outbox of the extension muskrat is not in this database"),
           errhint("Run CREATE EXTENSION muskrat, or drop the triggers that call it.")));
  pg_unreachable();
}

int checked(int64 segment) {
  if (segment < 1 || segment > segment_count)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the sequence muskrat.current_segment was altered: its value is %lld",
                           static_cast<long long>(segment)),
                    errhint("Run SELECT setval('muskrat.current_segment', 1).")));
  return static_cast<int>(segment);
}

// 0: the cell is gone.
int current_segment(const OutboxRelations& relations) {
  int64 segment;
  return cell_read(relations.current_segment, &segment) ? checked(segment) : 0;
}

// Opens the segment that is current once its lock is held. The number is read again behind the lock, for the relay's
// TRUNCATE may have come in between. Null: a relation is gone.
Relation try_open_current(const OutboxRelations& relations, int* number) {
  *number = current_segment(relations);
  while (*number != 0) {
    Relation segment = try_table_open(relations.segments[*number - 1], RowExclusiveLock);
    if (segment == nullptr) return nullptr;
    int now = current_segment(relations);
    if (now == *number) return segment;
    table_close(segment, RowExclusiveLock);
    *number = now;
  }
  return nullptr;
}

bool is_still_current() {
  static Buffer hint = InvalidBuffer;
  Relation cell = relation_open(held->segment.cell, NoLock);
  int64 now = cell_read_again(cell, &hint);
  relation_close(cell, NoLock);
  return now == held->segment.number;
}

bool lock_ids(Oid sequence) {
  Relation ids = try_relation_open(sequence, RowExclusiveLock);
  if (ids == nullptr) return false;
  bool is_sequence = ids->rd_rel->relkind == RELKIND_SEQUENCE;
  relation_close(ids, is_sequence ? NoLock : RowExclusiveLock);
  return is_sequence;
}

int field_of(const FormData_pg_attribute* attribute) {
  if (attribute->attisdropped) return -1;
  for (int field = 0; field < FIELD_COUNT; field++)
    if (strcmp(NameStr(attribute->attname), fields[field].name) == 0)
      return attribute->atttypid == fields[field].type ? field : -1;
  return -1;
}

void keep_descriptor(TupleDesc descriptor, Segment* out) {
  if (out->descriptor != nullptr) FreeTupleDesc(out->descriptor);
  out->descriptor = nullptr;
  MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
  out->descriptor = CreateTupleDescCopy(descriptor);
  MemoryContextSwitchTo(caller);
}

[[noreturn]] void report_altered(Relation segment) {
  ereport(ERROR,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
           errmsg("the table muskrat.%s was altered: the extension cannot use it", RelationGetRelationName(segment)),
           errhint("Restore its columns, or drop and create the extension again.")));
  pg_unreachable();
}

// By name: the table may be of an older or newer version than this library.
void examine_columns(Relation segment, Segment* out) {
  TupleDesc descriptor = RelationGetDescr(segment);
  int found = 0;
  for (int i = 0; i < descriptor->natts; i++) {
    out->field_of[i] = static_cast<int16>(field_of(TupleDescAttr(descriptor, i)));
    if (out->field_of[i] >= 0) found++;
  }
  out->column_count = descriptor->natts;
  keep_descriptor(descriptor, out);
  if (found != FIELD_COUNT || segment->rd_rel->relam != HEAP_TABLE_AM_OID) report_altered(segment);
}

void examine_index(Oid index_oid, Segment* out) {
  Relation index = index_open(index_oid, RowExclusiveLock);
  const SegmentIndex kind = segment_index_kind(index);
  if (kind == SegmentIndex::other)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("the index %s on the outbox is not a plain btree index", RelationGetRelationName(index)),
                    errhint("Drop it: the outbox's segments take no other kind.")));
  if (out->index_count == most_segment_indexes)
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("a segment of the outbox has more than %d indexes", most_segment_indexes),
             errhint("Drop the index %s: each index costs every captured row.", RelationGetRelationName(index))));
  out->by_page[out->index_count] = kind == SegmentIndex::by_page;
  out->indexes[out->index_count++] = index_oid;
  index_close(index, NoLock);
}

void examine_indexes(Relation segment, Segment* out) {
  out->index_count = 0;
  List* indexes = RelationGetIndexList(segment);
  ListCell* cell;
  foreach (cell, indexes) examine_index(lfirst_oid(cell), out);
  list_free(indexes);
}

void lock_indexes(const Segment& segment) {
  for (int i = 0; i < segment.index_count; i++) LockRelationOid(segment.indexes[i], RowExclusiveLock);
}

// Examines the segment, or, when nothing has changed since it was, only locks its indexes: taking the table's lock has
// let in what others did before. An invalidation that comes in while we look leaves an old generation, so that the next
// event looks again.
void examine(Relation segment, const OutboxRelations& relations, Examined* out) {
  const OutboxRelations* now = outbox_relations();
  if (now != nullptr && now->generation == out->generation) return lock_indexes(out->segment);
  out->generation = 0;
  out->segment.cell = relations.current_segment;
  out->segment.table = RelationGetRelid(segment);
  out->segment.ids = relations.outbox_id;
  examine_columns(segment, &out->segment);
  examine_indexes(segment, &out->segment);
  out->generation = relations.generation;
}

void unlock(const Segment& segment) {
  for (int i = 0; i < segment.index_count; i++) UnlockRelationOid(segment.indexes[i], RowExclusiveLock);
  UnlockRelationOid(segment.table, RowExclusiveLock);
}

// The segment of the transaction before is mostly still current, and as it was examined: then its locks are all that is
// needed, and the cell is read once, behind them. They are taken in the order of the long way.
bool hold_as_before(const OutboxRelations& relations) {
  if (held_before == nullptr || held_before->generation != relations.generation) return false;
  const Segment& segment = held_before->segment;
  LockRelationOid(segment.cell, AccessShareLock);
  LockRelationOid(segment.table, RowExclusiveLock);
  LockRelationOid(segment.ids, RowExclusiveLock);
  lock_indexes(segment);
  const OutboxRelations* now = outbox_relations();
  held = held_before;
  if (now != nullptr && now->generation == held->generation && is_still_current()) return true;
  held = nullptr;
  unlock(segment);
  return false;
}

bool try_hold(const OutboxRelations& relations) {
  held = nullptr;
  if (hold_as_before(relations)) return true;
  int number;
  Relation segment = try_open_current(relations, &number);
  if (segment == nullptr) return false;
  bool complete = lock_ids(relations.outbox_id);
  if (complete) {
    examine(segment, relations, &examined[number - 1]);
    examined[number - 1].segment.number = number;
    held = held_before = &examined[number - 1];
  }
  table_close(segment, complete ? NoLock : RowExclusiveLock);
  return complete;
}

// muskrat.by_page(xid), which is true: of an index WHERE it the planner cannot tell that it has a row.
bool is_by_page(List* predicate) {
  if (list_length(predicate) != 1 || !IsA(linitial(predicate), FuncExpr)) return false;
  const Oid function = castNode(FuncExpr, linitial(predicate))->funcid;
  char* name = get_func_name(function);
  const bool named_so = name != nullptr && strcmp(name, "by_page") == 0;
  return named_so && get_func_namespace(function) == get_namespace_oid("muskrat", true);
}

}  // namespace

SegmentIndex segment_index_kind(Relation index) {
  const FormData_pg_index* form = index->rd_index;
  if (index->rd_rel->relam != BTREE_AM_OID || RelationGetIndexExpressions(index) != NIL) return SegmentIndex::other;
  List* predicate = RelationGetIndexPredicate(index);
  if (predicate == NIL) return SegmentIndex::by_row;
  const char* column = form->indnatts == 1 ? get_attname(form->indrelid, form->indkey.values[0], true) : nullptr;
  const bool on_xid = column != nullptr && strcmp(column, "xid") == 0 && !form->indisunique;
  return on_xid && is_by_page(predicate) ? SegmentIndex::by_page : SegmentIndex::other;
}

void segment_init() {
  RegisterXactCallback(forget_at_end, nullptr);
  RegisterSubXactCallback(forget_at_rollback, nullptr);
}

const Segment& segment_held() {
  // The OIDs may be those of an extension that was dropped and created again since: the second look is fresh, for
  // taking the locks has processed the invalidations.
  for (int attempt = 0; attempt < 2; attempt++) {
    const OutboxRelations* found = outbox_relations();
    if (found == nullptr) break;
    if (held != nullptr && held->generation == found->generation && is_still_current()) return held->segment;
    OutboxRelations relations = *found;
    if (try_hold(relations)) return held->segment;
    AcceptInvalidationMessages();
  }
  report_not_installed();
}

void segment_columns(Relation segment, AttrNumber column_of[FIELD_COUNT]) {
  TupleDesc descriptor = RelationGetDescr(segment);
  int found = 0;
  for (int i = 0; i < descriptor->natts; i++) {
    const int field = field_of(TupleDescAttr(descriptor, i));
    if (field < 0) continue;
    column_of[field] = static_cast<AttrNumber>(i + 1);
    found++;
  }
  if (found != FIELD_COUNT) report_altered(segment);
}

bool segment_is_there(const Segment& segment, Oid table) {
  const OutboxRelations* found = outbox_relations();
  Examined* known = &examined[segment.number - 1];
  if (found != nullptr && known->generation == found->generation && segment.table == table) return true;
  Relation relation = try_table_open(table, NoLock);
  if (relation == nullptr) return false;
  // It is there, and no longer the outbox's: an ERROR, for to drop the rows would lose events.
  if (found == nullptr || found->segments[segment.number - 1] != table) report_not_installed();
  OutboxRelations relations = *found;
  examine(relation, relations, known);
  table_close(relation, NoLock);
  return true;
}

#include "extension/cells.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace {

constexpr int64 ids_logged_ahead = 32;

OutboxRelations relations;
bool relations_known = false;

void forget_relations(Datum, Oid changed) {
  if (!relations_known) return;
  const Oid* first = relations.segments;
  bool ours = !OidIsValid(changed) || changed == relations.outbox_id || changed == relations.current_segment ||
              changed == relations.doorbell;
  for (int i = 0; i < segment_count; i++) ours |= changed == first[i];
  if (ours) relations_known = false;
}

bool find_relations() {
  static const char* const segment_names[segment_count] = {"outbox_1", "outbox_2", "outbox_3"};
  Oid schema = get_namespace_oid("muskrat", true);
  if (!OidIsValid(schema)) return false;

  OutboxRelations found;
  bool all = true;
  for (int i = 0; i < segment_count; i++)
    all &= OidIsValid(found.segments[i] = get_relname_relid(segment_names[i], schema));
  all &= OidIsValid(found.outbox_id = get_relname_relid("outbox_id", schema));
  all &= OidIsValid(found.current_segment = get_relname_relid("current_segment", schema));
  all &= OidIsValid(found.doorbell = get_relname_relid("doorbell", schema));
  found.generation = relations.generation + 1;
  if (all) relations = found;
  return all;
}

// A sequence's page, locked: valid until release().
struct SequencePage {
  Relation relation;
  Buffer buffer;
  Page page;
  ItemId item;
  HeapTupleHeader tuple;
  Form_pg_sequence_data data;
};

// Where the page was last time (`hint`) it mostly still is: asking there spares the shared table of buffers.
Buffer read_page(Relation sequence, Buffer* hint) {
#if PG_VERSION_NUM >= 160000
  const RelFileLocator& file = sequence->rd_locator;
#else
  const RelFileNode& file = sequence->rd_node;
#endif
  bool there = BufferIsValid(*hint) && ReadRecentBuffer(file, MAIN_FORKNUM, 0, *hint);
  if (!there) *hint = ReadBuffer(sequence, 0);
  return *hint;
}

SequencePage lock_page(Relation sequence, int buffer_lock, Buffer* hint) {
  SequencePage locked;
  locked.relation = sequence;
  locked.buffer = read_page(sequence, hint);
  LockBuffer(locked.buffer, buffer_lock);
  locked.page = BufferGetPage(locked.buffer);
  locked.item = PageGetItemId(locked.page, FirstOffsetNumber);
  locked.tuple = reinterpret_cast<HeapTupleHeader>(PageGetItem(locked.page, locked.item));
  locked.data = reinterpret_cast<Form_pg_sequence_data>(reinterpret_cast<char*>(locked.tuple) + locked.tuple->t_hoff);
  return locked;
}

void log_page(const SequencePage& locked) {
  xl_seq_rec record;
#if PG_VERSION_NUM >= 160000
  record.locator = locked.relation->rd_locator;
#else
  record.node = locked.relation->rd_node;
#endif
  XLogBeginInsert();
  XLogRegisterBuffer(0, locked.buffer, REGBUF_WILL_INIT);
  XLogRegisterData(reinterpret_cast<char*>(&record), sizeof record);
  XLogRegisterData(reinterpret_cast<char*>(locked.tuple), ItemIdGetLength(locked.item));
  XLogRecPtr logged_at = XLogInsert(RM_SEQ_ID, XLOG_SEQ_LOG);
  PageSetLSN(locked.page, logged_at);  // a macro that evaluates its argument twice
}

}  // namespace

void cells_init() { CacheRegisterRelcacheCallback(forget_relations, Datum(0)); }

const OutboxRelations* outbox_relations() {
  if (!relations_known) relations_known = find_relations();
  return relations_known ? &relations : nullptr;
}

bool cell_read(Oid sequence, CellPlace* place, int64* value) {
  const OutboxRelations* now = outbox_relations();
  if (now == nullptr || now->generation != place->generation) {
    place->generation = 0;
    if (!cell_read(sequence, value)) return false;
    if (now != nullptr) place->generation = now->generation;
    return true;
  }
  Relation relation = relation_open(sequence, NoLock);
  const bool is_sequence = relation->rd_rel->relkind == RELKIND_SEQUENCE;
  if (is_sequence) *value = cell_read_again(relation, &place->hint);
  relation_close(relation, NoLock);
  return is_sequence;
}

bool cell_read(Oid sequence, int64* value) {
  Relation relation = try_relation_open(sequence, AccessShareLock);
  if (relation == nullptr) return false;
  bool is_sequence = relation->rd_rel->relkind == RELKIND_SEQUENCE;
  Buffer hint = InvalidBuffer;
  if (is_sequence) *value = cell_read_again(relation, &hint);
  // The lock stays to the end of the transaction: taking it again then costs a look into a local table.
  relation_close(relation, is_sequence ? NoLock : AccessShareLock);
  return is_sequence;
}

int64 cell_read_again(Relation sequence, Buffer* hint) {
  SequencePage locked = lock_page(sequence, BUFFER_LOCK_SHARE, hint);
  int64 value = locked.data->last_value;
  UnlockReleaseBuffer(locked.buffer);
  return value;
}

void cell_write(Relation sequence, int64 value) {
  Buffer hint = InvalidBuffer;
  SequencePage locked = lock_page(sequence, BUFFER_LOCK_EXCLUSIVE, &hint);
  START_CRIT_SECTION();
  MarkBufferDirty(locked.buffer);
  locked.data->last_value = value;
  locked.data->is_called = true;
  locked.data->log_cnt = 0;
  if (RelationNeedsWAL(sequence)) log_page(locked);
  END_CRIT_SECTION();
  UnlockReleaseBuffer(locked.buffer);
}

int64 id_draw(Relation sequence, int count) {
  static Buffer hint = InvalidBuffer;
  SequencePage locked = lock_page(sequence, BUFFER_LOCK_EXCLUSIVE, &hint);
  Form_pg_sequence_data data = locked.data;
  int64 first = data->is_called ? data->last_value + 1 : data->last_value;
  int64 last = first + count - 1;
  // After a checkpoint replay starts behind the last record, which must therefore be written again.
  bool log = !data->is_called || data->log_cnt < count || PageGetLSN(locked.page) <= GetRedoRecPtr();
  int64 still_logged = log ? ids_logged_ahead : data->log_cnt - count;

  START_CRIT_SECTION();
  MarkBufferDirty(locked.buffer);
  data->is_called = true;
  if (log && RelationNeedsWAL(sequence)) {
    data->last_value = last + ids_logged_ahead;
    data->log_cnt = 0;
    log_page(locked);
  }
  data->last_value = last;
  data->log_cnt = still_logged;
  END_CRIT_SECTION();

  UnlockReleaseBuffer(locked.buffer);
  return first;
}

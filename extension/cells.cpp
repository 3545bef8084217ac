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

bool lock_page(Oid sequence, LOCKMODE relation_lock, int buffer_lock, SequencePage* out) {
  out->relation = try_relation_open(sequence, relation_lock);
  if (out->relation == nullptr) return false;
  if (out->relation->rd_rel->relkind != RELKIND_SEQUENCE) {
    relation_close(out->relation, relation_lock);
    return false;
  }
  out->buffer = ReadBuffer(out->relation, 0);
  LockBuffer(out->buffer, buffer_lock);
  out->page = BufferGetPage(out->buffer);
  out->item = PageGetItemId(out->page, FirstOffsetNumber);
  out->tuple = reinterpret_cast<HeapTupleHeader>(PageGetItem(out->page, out->item));
  out->data = reinterpret_cast<Form_pg_sequence_data>(reinterpret_cast<char*>(out->tuple) + out->tuple->t_hoff);
  return true;
}

// The relation's lock stays to the end of the transaction: taking it again then costs a look into a local table.
void release(const SequencePage& locked) {
  UnlockReleaseBuffer(locked.buffer);
  relation_close(locked.relation, NoLock);
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

bool cell_read(Oid sequence, int64* value) {
  SequencePage locked;
  if (!lock_page(sequence, AccessShareLock, BUFFER_LOCK_SHARE, &locked)) return false;
  *value = locked.data->last_value;
  release(locked);
  return true;
}

bool id_draw(Oid sequence, int64* id) {
  SequencePage locked;
  if (!lock_page(sequence, RowExclusiveLock, BUFFER_LOCK_EXCLUSIVE, &locked)) return false;
  Form_pg_sequence_data data = locked.data;
  int64 next = data->is_called ? data->last_value + 1 : data->last_value;
  // After a checkpoint replay starts behind the last record, which must therefore be written again.
  bool log = !data->is_called || data->log_cnt < 1 || PageGetLSN(locked.page) <= GetRedoRecPtr();
  int64 still_logged = log ? ids_logged_ahead : data->log_cnt - 1;

  START_CRIT_SECTION();
  MarkBufferDirty(locked.buffer);
  data->is_called = true;
  if (log && RelationNeedsWAL(locked.relation)) {
    data->last_value = next + ids_logged_ahead;
    data->log_cnt = 0;
    log_page(locked);
  }
  data->last_value = next;
  data->log_cnt = still_logged;
  END_CRIT_SECTION();

  release(locked);
  *id = next;
  return true;
}

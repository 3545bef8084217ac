#include "extension/gathered.hpp"

#include "extension/cells.hpp"
#include "extension/insertion.hpp"

extern "C" {
#include "access/relation.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
}

namespace {

constexpr int gathered_most = 128;
constexpr Size gathered_bytes = Size{128} * 1024;

struct Gathered {
  SubTransactionId told_in;
  const Segment* segment;
  Oid table;  // the segment's, when the first row came
  HeapTuple rows[gathered_most];
  int count;
  Size bytes;
};

// Drawn and not used yet. A statement of one row draws one; one that goes on draws more each time.
struct IdsAhead {
  int64 next;
  int count;
  int draw;
};

Gathered waiting;
IdsAhead ids;
MemoryContext memory = nullptr;
int under_hook = 0;
ExecutorFinish_hook_type next_finish = nullptr;
ProcessUtility_hook_type next_utility = nullptr;

void drop() {
  waiting.count = 0;
  waiting.bytes = 0;
  ids.count = 0;
  if (memory != nullptr) MemoryContextReset(memory);
}

// A row may have been locked since the ids were drawn, whose event must have a later one than its last writer's.
void begin_anew() { ids = IdsAhead{0, 0, 1}; }

void insert_waiting() {
  if (segment_is_there(*waiting.segment, waiting.table)) insert_rows(*waiting.segment, waiting.rows, waiting.count);
  drop();
}

int64 next_id(const Segment& segment) {
  if (ids.count == 0) {
    Relation sequence = relation_open(segment.ids, NoLock);
    ids.count = Min(ids.draw, gathered_most - waiting.count);
    ids.next = id_draw(sequence, ids.count);
    relation_close(sequence, NoLock);
    ids.draw = Min(ids.draw * 2, gathered_most);
  }
  ids.count--;
  return ids.next++;
}

bool are_ours() { return waiting.count > 0 && waiting.told_in == GetCurrentSubTransactionId(); }

// ---- where a statement's triggers run ----

void finish(QueryDesc* query) {
  under_hook++;
  begin_anew();
  PG_TRY();
  {
    if (next_finish != nullptr)
      next_finish(query);
    else
      standard_ExecutorFinish(query);
    if (are_ours()) insert_waiting();
  }
  PG_FINALLY();
  {
    under_hook--;
    begin_anew();
  }
  PG_END_TRY();
}

void utility(PlannedStmt* statement, const char* text, bool read_only_tree, ProcessUtilityContext context,
             ParamListInfo params, QueryEnvironment* environment, DestReceiver* receiver, QueryCompletion* completion) {
  const ProcessUtility_hook_type next = next_utility != nullptr ? next_utility : standard_ProcessUtility;
  if (!IsA(statement->utilityStmt, CopyStmt))
    return next(statement, text, read_only_tree, context, params, environment, receiver, completion);
  under_hook++;
  begin_anew();
  PG_TRY();
  {
    next(statement, text, read_only_tree, context, params, environment, receiver, completion);
    if (are_ours()) insert_waiting();
  }
  PG_FINALLY();
  {
    under_hook--;
    begin_anew();
  }
  PG_END_TRY();
}

// ---- what becomes of them with their transaction ----

void at_transaction_event(XactEvent event, void*) {
  if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE) {
    if (waiting.count > 0) insert_waiting();
  } else {
    drop();
  }
}

void at_subtransaction_event(SubXactEvent event, SubTransactionId sub, SubTransactionId, void*) {
  if (waiting.count == 0) return;
  if (event == SUBXACT_EVENT_PRE_COMMIT_SUB && waiting.told_in == sub) insert_waiting();
  if (event == SUBXACT_EVENT_ABORT_SUB && waiting.told_in >= sub) drop();  // children have higher numbers
}

}  // namespace

void gathered_init() {
  memory = AllocSetContextCreate(TopMemoryContext, "muskrat outbox rows", ALLOCSET_DEFAULT_SIZES);
  next_finish = ExecutorFinish_hook;
  ExecutorFinish_hook = finish;
  next_utility = ProcessUtility_hook;
  ProcessUtility_hook = utility;
  RegisterXactCallback(at_transaction_event, nullptr);
  RegisterSubXactCallback(at_subtransaction_event, nullptr);
}

bool gathered_place(RowPlace* place) {
  if (under_hook == 0 || (waiting.count > 0 && !are_ours())) return false;
  if (waiting.count == 0) {
    waiting.told_in = GetCurrentSubTransactionId();
    waiting.segment = &segment_held();
    waiting.table = waiting.segment->table;
    ids.count = 0;  // a segment's ids are greater than those drawn before it became current
  }
  *place = RowPlace{waiting.segment, next_id(*waiting.segment), memory};
  return true;
}

void gather(HeapTuple row) {
  waiting.rows[waiting.count++] = row;
  waiting.bytes += row->t_len;
  if (waiting.count == gathered_most || waiting.bytes >= gathered_bytes) insert_waiting();
}

void gathered_passed() { begin_anew(); }

#include "extension/doorbell.hpp"

#include "extension/cells.hpp"

extern "C" {
#include "access/relation.h"
#include "access/xact.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/fmgrprotos.h"
#include "utils/wait_event.h"
}

namespace {

// A session that waits: the flag, the number of its PGPROC, and the last bits of its pid, so that a stale cell hardly
// ever wakes somebody else. (That would do no harm: latches are set for nothing now and then.)
constexpr int64 latch_flag = int64{1} << 30;
constexpr int pid_bits = 12;
constexpr int64 pid_mask = (int64{1} << pid_bits) - 1;

bool event_written = false;
int64 waiting = 0;  // whose latch is to be set after this commit; 0: nobody's

int64 my_ring() {
#if PG_VERSION_NUM >= 170000
  const int64 number = MyProcNumber;
#else
  const int64 number = MyProc->pgprocno;
#endif
  return latch_flag | number << pid_bits | (MyProcPid & pid_mask);
}

void set_latch_of(int64 ring) {
  const int64 number = (ring & ~latch_flag) >> pid_bits;
  if (number < 0 || number >= ProcGlobal->allProcCount) return;
  PGPROC* proc = &ProcGlobal->allProcs[number];
  if (proc->pid == 0 || (proc->pid & pid_mask) != (ring & pid_mask)) return;
  // Between two statements it would wake up for nothing. Its next look comes after this commit: either it is seen here
  // that the session is at work again, or its snapshot, taken later, sees the commit.
  pg_memory_barrier();
  if (*static_cast<volatile uint32*>(&proc->wait_event_info) == WAIT_EVENT_CLIENT_READ) return;
  SetLatch(&proc->procLatch);
}

// The bell's value, or 0. The lock is asked for conditionally: whoever alters or drops the extension just now must not
// hold up, let alone deadlock with, a commit.
int64 bell() {
  static CellPlace place{InvalidBuffer, 0};
  const OutboxRelations* relations = outbox_relations();
  if (relations == nullptr) return 0;
  const Oid cell = relations->doorbell;
  int64 value = 0;
  if (!ConditionalLockRelationOid(cell, AccessShareLock) || !cell_read(cell, &place, &value)) return 0;
  return value;
}

// A full queue of notifications fails the commit of everyone who notifies: a listener that does not listen must not
// bring that about through us. Looked at now and then, for looking takes the queue's locks.
bool queue_has_room() {
  constexpr unsigned rings_between_looks = 256;
  static unsigned rings = 0;
  static bool room = true;
  if (rings++ % rings_between_looks == 0) {
    LOCAL_FCINFO(call, 0);
    InitFunctionCallInfoData(*call, nullptr, 0, InvalidOid, nullptr, nullptr);
    room = DatumGetFloat8(pg_notification_queue_usage(call)) < 0.5;
  }
  return room;
}

void before_commit() {
  const int64 value = bell();
  if (value & latch_flag)
    waiting = value;
  else if (value != 0 && BackendPidGetProc(static_cast<int>(value)) != nullptr && queue_has_room())
    Async_Notify("muskrat", "");
}

void at_transaction_event(XactEvent event, void*) {
  // A two-phase commit (PRE_PREPARE) never notifies: PostgreSQL refuses it.
  if (event == XACT_EVENT_PRE_COMMIT && event_written) before_commit();
  // Others see the commit by now.
  if (event == XACT_EVENT_COMMIT && waiting != 0) set_latch_of(waiting);
  if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE) {
    event_written = false;
    waiting = 0;
  }
}

}  // namespace

void doorbell_init() { RegisterXactCallback(at_transaction_event, nullptr); }

void doorbell_ring_at_commit() { event_written = true; }

void doorbell_ring_me() {
  static CellPlace place{InvalidBuffer, 0};
  const OutboxRelations* relations = outbox_relations();
  const int64 mine = my_ring();
  int64 value = 0;
  if (relations == nullptr) return;
  // As for a writer: whoever alters the bell just now is not waited for. To set it takes the lock that setval takes.
  if (!ConditionalLockRelationOid(relations->doorbell, AccessShareLock)) return;
  if (!cell_read(relations->doorbell, &place, &value) || value == mine) return;
  if (!ConditionalLockRelationOid(relations->doorbell, RowExclusiveLock)) return;
  Relation cell = relation_open(relations->doorbell, NoLock);
  cell_write(cell, mine);
  relation_close(cell, NoLock);
}

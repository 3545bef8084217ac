#include "extension/doorbell.hpp"

#include "extension/cells.hpp"

extern "C" {
#include "access/xact.h"
#include "commands/async.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/fmgrprotos.h"
}

namespace {

bool event_written = false;

// The bell's value, or 0. The lock is asked for conditionally: whoever alters or drops the extension just now must not
// hold up, let alone deadlock with, a commit.
int sleeping_relay() {
  static CellPlace place{InvalidBuffer, 0};
  const OutboxRelations* relations = outbox_relations();
  if (relations == nullptr) return 0;
  const Oid bell = relations->doorbell;
  int64 pid = 0;
  if (!ConditionalLockRelationOid(bell, AccessShareLock) || !cell_read(bell, &place, &pid)) return 0;
  return static_cast<int>(pid);
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

void at_transaction_event(XactEvent event, void*) {
  // A two-phase commit (PRE_PREPARE) never notifies: PostgreSQL refuses it.
  if (event == XACT_EVENT_PRE_COMMIT && event_written) {
    int pid = sleeping_relay();
    if (pid != 0 && BackendPidGetProc(pid) != nullptr && queue_has_room()) Async_Notify("muskrat", "");
  }
  if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE) event_written = false;
}

}  // namespace

void doorbell_init() { RegisterXactCallback(at_transaction_event, nullptr); }

void doorbell_ring_at_commit() { event_written = true; }

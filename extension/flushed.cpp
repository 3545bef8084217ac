// Whether a committed transaction is on disk: what the relay must know of every event before it publishes it.
//
// A commit with synchronous_commit = off is visible before it is flushed; the commit log keeps its place in the WAL
// until then. Any other is flushed before anybody can see it, and has none.
extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "storage/lwlock.h"
#include "utils/xid8.h"
}

namespace {

TransactionId oldest_in_commit_log() {
#if PG_VERSION_NUM >= 170000
  return TransamVariables->oldestClogXid;
#else
  return ShmemVariableCache->oldestClogXid;
#endif
}

// The commit log is truncated from its old end on, far behind what may be unflushed. A number from the future is
// another server's: whoever copied the row here has committed under a number that we do not know.
XLogRecPtr place_of_commit(FullTransactionId full) {
  constexpr uint64 recent = 1'000'000'000;  // so far apart transaction numbers can be compared in their short form
  const uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId()), number = U64FromFullTransactionId(full);
  if (number >= next) return PG_UINT64_MAX;
  if (next - number > recent) return InvalidXLogRecPtr;
  const TransactionId xid = XidFromFullTransactionId(full);
  XLogRecPtr place = InvalidXLogRecPtr;
  LWLockAcquire(XactTruncationLock, LW_SHARED);
  if (!TransactionIdPrecedes(xid, oldest_in_commit_log())) place = TransactionIdGetCommitLSN(xid);
  LWLockRelease(XactTruncationLock);
  return place;
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_commit_is_flushed);

// muskrat.commit_is_flushed(committed xid8) → boolean. False may be said of one that shares its place with a later one.
PGDLLEXPORT Datum muskrat_commit_is_flushed(PG_FUNCTION_ARGS) {
  const XLogRecPtr place = place_of_commit(PG_GETARG_FULLTRANSACTIONID(0));
  PG_RETURN_BOOL(XLogRecPtrIsInvalid(place) || place <= GetFlushRecPtr(nullptr));
}
}

// A commit with synchronous_commit = off is visible before it is flushed; the commit log keeps its place in the WAL
// until then. Any other is flushed before anybody can see it, and has none.
#include "extension/flushed.hpp"

extern "C" {
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

bool commit_is_flushed(FullTransactionId committed) {
  const XLogRecPtr place = place_of_commit(committed);
  return XLogRecPtrIsInvalid(place) || place <= GetFlushRecPtr(nullptr);
}

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_commit_is_flushed);

// muskrat.commit_is_flushed(committed xid8) → boolean
PGDLLEXPORT Datum muskrat_commit_is_flushed(PG_FUNCTION_ARGS) {
  PG_RETURN_BOOL(commit_is_flushed(PG_GETARG_FULLTRANSACTIONID(0)));
}
}

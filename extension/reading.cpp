// muskrat.read_new(): what became visible since a snapshot, in order of id; where there is nothing, it waits for it.
//
// One statement of the relay's under load, a thousand times a second: so without the planner's twenty nodes for it, and
// without a round trip for each look in vain. What it reads is docs/outbox-protocol.md; what is done with it,
// relay/sources/postgres_outbox_reader.cpp. Regime: no exceptions, nothing with a destructor, ERROR by ereport.
#include <algorithm>
#include <cstring>

#include "extension/doorbell.hpp"
#include "extension/flushed.hpp"
#include "extension/pages.hpp"

extern "C" {
#include "access/detoast.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "replication/syncrep.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"
#include "utils/xid8.h"
}

namespace {

constexpr int64 most_rows = 1'000'000;
constexpr int most_wait_ms = 10'000;
constexpr int most_gather_us = 10'000;

// The function's columns; the event's own come behind them.
enum Column { SNAPSHOT, FLUSHED, REPLICATED, SEGMENT, PLACE, ID, BYTES, COMMIT_FLUSHED, EVENT };
constexpr OutboxField event_fields[] = {FIELD_ID,          FIELD_CAPTURED_AT,  FIELD_MESSAGE_ID, FIELD_OP,
                                        FIELD_ROUTING_KEY, FIELD_ORDERING_KEY, FIELD_BODY,       FIELD_HEADERS};
constexpr int column_count = EVENT + lengthof(event_fields);

struct Asked {
  FullTransactionId first;  // all from it on,
  Xids others;              // and these
  int64 rows, bytes;
  int wait_ms, gather_us;
};

struct Place {
  int64 id;
  FullTransactionId xid;
  int64 bytes;
  int segment;
  ItemPointerData tid;
};

// The smallest ids so far, the largest of them first.
struct Found {
  Place* places;
  int64 count, most;
};

bool before(const Place& a, const Place& b) { return a.id < b.id; }

void take(Found* found, const Place& place) {
  Place* end = found->places + found->count;
  if (found->count == found->most) {
    if (!before(place, found->places[0])) return;
    std::pop_heap(found->places, end, before);
    found->places[found->count - 1] = place;
  } else {
    *end++ = place;
    found->count++;
  }
  std::push_heap(found->places, end, before);
}

// By transactions that are none of the others.
void look_at(const OpenSegment& segment, Snapshot snapshot, XidRange range, Found* found) {
  visit_rows(segment, snapshot, range, [&](HeapTuple row, FullTransactionId xid) {
    Place place;
    place.id = DatumGetInt64(required(row, segment, FIELD_ID));
    place.xid = xid;
    place.bytes = static_cast<int64>(toast_raw_datum_size(required(row, segment, FIELD_BODY))) - VARHDRSZ;
    place.segment = segment.number;
    place.tid = row->t_self;
    take(found, place);
    return true;
  });
}

void look(const Asked& asked, const OpenSegment segments[segment_count], Snapshot snapshot, Found* found) {
  found->count = 0;
  for (int i = 0; i < segment_count; i++) {
    if (RelationGetNumberOfBlocks(segments[i].table) == 0) continue;
    look_at(segments[i], snapshot, {asked.first, {no_xid_is_higher}}, found);
    for (int n = 0; n < asked.others.count; n++) {
      const FullTransactionId other = DatumGetFullTransactionId(asked.others.at[n]);
      look_at(segments[i], snapshot, {other, {other.value + 1}}, found);
    }
  }
  std::sort_heap(found->places, found->places + found->count, before);
}

Datum snapshot_text() {
  LOCAL_FCINFO(call, 0);
  InitFunctionCallInfoData(*call, nullptr, 0, InvalidOid, nullptr, nullptr);
  const Datum snapshot = pg_current_snapshot(call);
  return CStringGetTextDatum(DatumGetCString(DirectFunctionCall1(pg_snapshot_out, snapshot)));
}

// The event's columns, where its row still stands: its transaction is visible, and nobody deletes from a segment.
void fetch(const Place& place, const OpenSegment& segment, TupleTableSlot* slot, Snapshot snapshot, Datum* values,
           bool* nulls) {
  ItemPointerData tid = place.tid;
  if (!table_tuple_fetch_row_version(segment.table, &tid, snapshot, slot)) return;
  for (int i = 0; i < lengthof(event_fields); i++)
    values[EVENT + i] = slot_getattr(slot, segment.column_of[event_fields[i]], &nulls[EVENT + i]);
}

void answer(const Asked& asked, const Found& found, const OpenSegment segments[segment_count], Snapshot snapshot,
            ReturnSetInfo* result) {
  Datum values[column_count] = {};
  bool nulls[column_count];
  memset(nulls, true, sizeof nulls);
  nulls[SNAPSHOT] = nulls[FLUSHED] = nulls[REPLICATED] = false;
  values[SNAPSHOT] = snapshot_text();
  // After the look: what it saw is in the log, and so below the place up to which the log is written now.
  values[FLUSHED] = BoolGetDatum(GetFlushRecPtr(nullptr) >= GetXLogInsertRecPtr());
  values[REPLICATED] = BoolGetDatum(SyncRepStandbyNames != nullptr && SyncRepStandbyNames[0] != 0);
  TupleTableSlot* slots[segment_count];
  for (int i = 0; i < segment_count; i++) slots[i] = table_slot_create(segments[i].table, nullptr);
  int64 bytes = 0;
  for (int64 n = 0; n < found.count; n++) {
    const Place& place = found.places[n];
    const OpenSegment& segment = segments[place.segment - 1];
    ItemPointerData tid = place.tid;
    memset(nulls + SEGMENT, false, column_count - SEGMENT);
    values[SEGMENT] = Int32GetDatum(place.segment);
    values[PLACE] = PointerGetDatum(&tid);
    values[ID] = Int64GetDatum(place.id);
    values[BYTES] = Int32GetDatum(static_cast<int32>(place.bytes));
    values[COMMIT_FLUSHED] = BoolGetDatum(commit_is_flushed(place.xid));
    memset(nulls + EVENT, true, column_count - EVENT);
    bytes += place.bytes;
    if (bytes <= asked.bytes) fetch(place, segment, slots[place.segment - 1], snapshot, values, nulls);
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  for (int i = 0; i < segment_count; i++) ExecDropSingleTupleTableSlot(slots[i]);
  if (found.count == 0) tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Asked arguments(FunctionCallInfo fcinfo) {
  Asked asked;
  asked.first = DatumGetFullTransactionId(PG_GETARG_DATUM(0));
  asked.others = xids_of(PG_GETARG_ARRAYTYPE_P(1));
  asked.rows = PG_GETARG_INT64(2);
  asked.bytes = PG_GETARG_INT64(3);
  asked.wait_ms = PG_GETARG_INT32(4);
  asked.gather_us = PG_GETARG_INT32(5);
  if (asked.rows < 1 || asked.rows > most_rows)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("most must be between 1 and 1000000")));
  if (asked.wait_ms < 0 || asked.wait_ms > most_wait_ms)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("wait_ms must be between 0 and 10000")));
  if (asked.gather_us < 0 || asked.gather_us > most_gather_us)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("gather_us must be between 0 and 10000")));
  return asked;
}

// By a clock that nobody sets.
double ms_since(const instr_time& began) {
  instr_time now;
  INSTR_TIME_SET_CURRENT(now);
  INSTR_TIME_SUBTRACT(now, began);
  return INSTR_TIME_GET_MILLISEC(now);
}

// The latch was reset before the look, so what was committed since then ends the wait at once.
void wait_for_commit(double ms) {
  const long whole = static_cast<long>(ms) + 1;
  WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, whole, PG_WAIT_EXTENSION);
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_read_new);

// muskrat.read_new(first xid8, others xid8[], most bigint, most_bytes bigint, wait_ms int, gather_us int) → setof
// record
PGDLLEXPORT Datum muskrat_read_new(PG_FUNCTION_ARGS) {
  require_primary();
  const Asked asked = arguments(fcinfo);
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (result->setDesc->natts != column_count)
    ereport(ERROR,
            (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("muskrat.read_new was altered: another number of columns"),
             errhint("Run ALTER EXTENSION muskrat UPDATE.")));
  OpenSegment segments[segment_count];
  open_segments(segments);
  Found found;
  found.most = asked.rows;
  found.places = static_cast<Place*>(palloc(sizeof(Place) * static_cast<Size>(asked.rows)));
  instr_time began;
  INSTR_TIME_SET_CURRENT(began);
  if (asked.wait_ms > 0) doorbell_ring_me();
  // Not on the latch: the first of many commits would end it.
  if (asked.gather_us > 0) pg_usleep(asked.gather_us);
  for (bool more = true; more;) {
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    PushActiveSnapshot(GetLatestSnapshot());
    look(asked, segments, GetActiveSnapshot(), &found);
    const double left = asked.wait_ms - ms_since(began);
    more = found.count == 0 && left > 0;
    if (!more) answer(asked, found, segments, GetActiveSnapshot(), result);
    PopActiveSnapshot();
    if (more) wait_for_commit(left);
  }
  close_segments(segments);
  return Datum(0);
}
}

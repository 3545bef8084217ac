// What a relay asks of the outbox besides the small read: the places of a backlog's events, in lists of bounded length;
// between which ids they lie; how many wait. docs/outbox-protocol.md says what it makes of the answers.
//
// Regime: no exceptions, nothing with a destructor, ERROR by ereport.
#include <algorithm>

#include "extension/pages.hpp"

extern "C" {
#include "access/detoast.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"
}

namespace {

constexpr int64 most_places = 10'000'000;

struct Place {
  int64 id;
  int32 bytes;
  int16 segment;
  ItemPointerData tid;
};

// The smallest ids so far: in no order until there are as many as may be, then the largest of them first.
struct Places {
  Place* at;
  int64 count, room, most;
};

// Ids between two, of transactions that a snapshot sees which is not the statement's own.
struct Wanted {
  int64 after, before;
  Datum seen;
};

bool lower(const Place& a, const Place& b) { return a.id < b.id; }

void add(Places* places, const Place& place) {
  if (places->count == places->most) {
    if (!lower(place, places->at[0])) return;
    std::pop_heap(places->at, places->at + places->count, lower);
    places->at[places->count - 1] = place;
    std::push_heap(places->at, places->at + places->count, lower);
    return;
  }
  if (places->count == places->room) {
    places->room = std::min(places->room * 2, places->most);
    places->at = static_cast<Place*>(repalloc_huge(places->at, places->room * sizeof(Place)));
  }
  places->at[places->count++] = place;
  if (places->count == places->most) std::make_heap(places->at, places->at + places->count, lower);
}

bool sees(Datum snapshot, FullTransactionId xid) {
  return DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, FullTransactionIdGetDatum(xid), snapshot));
}

// A row's id where it is wanted; else 0, which no event has.
int64 wanted_id(HeapTuple row, FullTransactionId xid, const OpenSegment& segment, const Wanted& wanted) {
  const int64 id = DatumGetInt64(required(row, segment, FIELD_ID));
  return id > wanted.after && id < wanted.before && sees(wanted.seen, xid) ? id : 0;
}

void list(const OpenSegment& segment, Snapshot snapshot, XidRange range, const Wanted& wanted, Places* places) {
  visit_rows(segment, snapshot, range, [&](HeapTuple row, FullTransactionId xid) {
    const int64 id = wanted_id(row, xid, segment, wanted);
    if (id == 0) return true;
    const Size bytes = toast_raw_datum_size(required(row, segment, FIELD_BODY)) - VARHDRSZ;
    add(places, Place{id, static_cast<int32>(bytes), static_cast<int16>(segment.number), row->t_self});
    return true;
  });
}

void put(const Places& places, ReturnSetInfo* result) {
  const bool nulls[4] = {};
  for (int64 n = 0; n < places.count; n++) {
    Place place = places.at[n];
    const Datum values[4] = {Int32GetDatum(place.segment), PointerGetDatum(&place.tid), Int64GetDatum(place.id),
                             Int32GetDatum(place.bytes)};
    tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
  }
}

// Whatever work_mem is: a relay's list fits, and need not go by the disk whose filling fails the application.
void keep_in_memory(ReturnSetInfo* result) {
  constexpr int kilobytes = 32 * 1024;
  MemoryContext caller = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
  tuplestore_end(result->setResult);
  result->setResult = tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, kilobytes);
  MemoryContextSwitchTo(caller);
}

XidRange one(Datum xid) {
  const FullTransactionId from = DatumGetFullTransactionId(xid);
  return XidRange{from, {from.value + 1}};
}

TupleDesc row_type(FunctionCallInfo fcinfo, int columns) {
  TupleDesc type;
  if (get_call_result_type(fcinfo, nullptr, &type) != TYPEFUNC_COMPOSITE || type->natts != columns)
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("a function of muskrat was altered"),
                    errhint("Run ALTER EXTENSION muskrat UPDATE.")));
  return BlessTupleDesc(type);
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_list_new);
PG_FUNCTION_INFO_V1(muskrat_range_new);
PG_FUNCTION_INFO_V1(muskrat_unread);
PG_FUNCTION_INFO_V1(muskrat_by_page);

// muskrat.list_new(first xid8, until xid8, others xid8[], seen pg_snapshot, after bigint, before bigint, most bigint)
// → setof (segment int, place tid, id bigint, bytes int)
PGDLLEXPORT Datum muskrat_list_new(PG_FUNCTION_ARGS) {
  require_primary();
  const XidRange range{DatumGetFullTransactionId(PG_GETARG_DATUM(0)), DatumGetFullTransactionId(PG_GETARG_DATUM(1))};
  const Xids others = xids_of(PG_GETARG_ARRAYTYPE_P(2));
  const Wanted wanted{PG_GETARG_INT64(4), PG_GETARG_INT64(5), PointerGetDatum(PG_DETOAST_DATUM(PG_GETARG_DATUM(3)))};
  const int64 most = PG_GETARG_INT64(6);
  if (most < 1 || most > most_places)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("most must be between 1 and 10000000")));
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (result->setDesc->natts != 4) row_type(fcinfo, 4);
  keep_in_memory(result);
  Places places{nullptr, 0, std::min<int64>(most, 1024), most};
  places.at = static_cast<Place*>(palloc(places.room * sizeof(Place)));
  OpenSegment segments[segment_count];
  open_segments(segments);
  for (const OpenSegment& segment : segments) {
    list(segment, GetActiveSnapshot(), range, wanted, &places);
    for (int n = 0; n < others.count; n++) list(segment, GetActiveSnapshot(), one(others.at[n]), wanted, &places);
  }
  close_segments(segments);
  put(places, result);
  return Datum(0);
}

// muskrat.range_new(first xid8, until xid8, seen pg_snapshot, from_id bigint) → (lowest bigint, highest bigint, events
// bigint)
PGDLLEXPORT Datum muskrat_range_new(PG_FUNCTION_ARGS) {
  require_primary();
  const XidRange range{DatumGetFullTransactionId(PG_GETARG_DATUM(0)), DatumGetFullTransactionId(PG_GETARG_DATUM(1))};
  const Wanted wanted{std::max<int64>(PG_GETARG_INT64(3), 1) - 1, PG_INT64_MAX,
                      PointerGetDatum(PG_DETOAST_DATUM(PG_GETARG_DATUM(2)))};
  TupleDesc type = row_type(fcinfo, 3);
  int64 least = PG_INT64_MAX, highest = 0, events = 0;
  OpenSegment segments[segment_count];
  open_segments(segments);
  for (const OpenSegment& segment : segments)
    visit_rows(segment, GetActiveSnapshot(), range, [&](HeapTuple row, FullTransactionId xid) {
      const int64 id = wanted_id(row, xid, segment, wanted);
      if (id == 0) return true;
      least = std::min(least, id);
      highest = std::max(highest, id);
      events++;
      return true;
    });
  close_segments(segments);
  Datum values[3] = {Int64GetDatum(least), Int64GetDatum(highest), Int64GetDatum(events)};
  bool nulls[3] = {events == 0, events == 0, false};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(type, values, nulls)));
}

// muskrat.unread(segment int, first xid8, others xid8[], most bigint, confirmed pg_snapshot, confirmed_id bigint)
// → (events bigint, oldest timestamptz)
PGDLLEXPORT Datum muskrat_unread(PG_FUNCTION_ARGS) {
  const int number = PG_GETARG_INT32(0);
  const FullTransactionId first = DatumGetFullTransactionId(PG_GETARG_DATUM(1));
  const Xids others = xids_of(PG_GETARG_ARRAYTYPE_P(2));
  const int64 most = PG_GETARG_INT64(3);
  const Wanted confirmed{0, PG_GETARG_INT64(5) + 1, PointerGetDatum(PG_DETOAST_DATUM(PG_GETARG_DATUM(4)))};
  if (number < 1 || number > segment_count)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("segments are 1, 2 and 3")));
  TupleDesc type = row_type(fcinfo, 2);
  int64 events = 0;
  TimestampTz oldest = DT_NOEND;
  OpenSegment segment;
  open_segment(number, &segment);
  const auto count = [&](HeapTuple row, FullTransactionId xid) {
    if (wanted_id(row, xid, segment, confirmed) != 0) return true;
    oldest = std::min(oldest, DatumGetTimestampTz(required(row, segment, FIELD_CAPTURED_AT)));
    return ++events < most;
  };
  bool more = most > 0 && visit_rows(segment, GetActiveSnapshot(), {first, {no_xid_is_higher}}, count);
  for (int n = 0; more && n < others.count; n++)
    more = visit_rows(segment, GetActiveSnapshot(), one(others.at[n]), count);
  close_segment(&segment);
  Datum values[2] = {Int64GetDatum(events), TimestampTzGetDatum(oldest)};
  bool nulls[2] = {false, events == 0};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(type, values, nulls)));
}

// muskrat.by_page(xid8) → true
PGDLLEXPORT Datum muskrat_by_page(PG_FUNCTION_ARGS) { PG_RETURN_BOOL(true); }
}

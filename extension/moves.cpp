extern "C" {
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

#include "extension/changes.hpp"
#include "extension/moves.hpp"
#include "extension/row_header.hpp"

namespace {

struct Place {
  Oid relation;
  ItemPointerData at;
};

struct Departure {
  TransactionId writer;
  CommandId command;
  Place from;
  Place to;  // where the row arrived; no relation: not yet
};

// By depth of triggers: what another trigger moves in between is noted below.
Departure* departures;
int departure_room;

int trigger_depth() {
  LOCAL_FCINFO(call, 0);
  InitFunctionCallInfoData(*call, nullptr, 0, InvalidOid, nullptr, nullptr);
  return DatumGetInt32(pg_trigger_depth(call));
}

Departure& departure_at(int depth) {
  if (depth >= departure_room) {
    const int room = depth + 8;
    const Size bytes = sizeof(Departure) * room;
    departures =
        static_cast<Departure*>(departures ? repalloc(departures, bytes) : MemoryContextAlloc(TopMemoryContext, bytes));
    for (; departure_room < room; departure_room++) departures[departure_room] = Departure{};
  }
  return departures[depth];
}

// The slot itself where the columns stand in the same places.
TupleTableSlot* as_in(Relation table, TupleTableSlot* row) {
  const TupleConversionMap* map = convert_tuples_by_name(row->tts_tupleDescriptor, RelationGetDescr(table));
  if (!map) return row;
  return execute_attr_map_slot(map->attrMap, row, MakeSingleTupleTableSlot(RelationGetDescr(table), &TTSOpsVirtual));
}

bool is_news(const Firing& firing, TupleTableSlot* departed) {
  const CapturePlan& plan = firing.plan;
  TupleTableSlot* before = as_in(firing.trigger->tg_relation, departed);
  const bool news =
      !when_holds(firing, before, before) || any_changed(plan.watched, plan.watched_count, before, firing.after);
  if (before != departed) ExecDropSingleTupleTableSlot(before);
  return news;
}

}  // namespace

void note_departure(const Firing& firing) {
  if (!is_heap(firing.trigger->tg_relation)) return;
  RowHeader header = header_of(firing.before);
  if (!HeapTupleHeaderIndicatesMovedPartitions(&header.row) || !we_wrote_over(&header.row)) return;
  departure_at(trigger_depth()) =
      Departure{HeapTupleHeaderGetUpdateXid(&header.row), HeapTupleHeaderGetCmax(&header.row),
                Place{RelationGetRelid(firing.trigger->tg_relation), header.place}, Place{}};
}

bool has_arrived(const Firing& firing) {
  if (!is_heap(firing.trigger->tg_relation)) return false;
  RowHeader header = header_of(firing.after);
  Departure& noted = departure_at(trigger_depth());
  if (noted.writer != HeapTupleHeaderGetXmin(&header.row) || noted.command != HeapTupleHeaderGetCmin(&header.row))
    return false;
  // Only the first after it: the same command may insert other rows, in WITH. Each attachment's trigger asks.
  const Oid relation = RelationGetRelid(firing.trigger->tg_relation);
  if (!OidIsValid(noted.to.relation)) noted.to = Place{relation, header.place};
  return noted.to.relation == relation && ItemPointerEquals(&noted.to.at, &header.place);
}

bool arrival_is_news(const Firing& firing) {
  Place from = departure_at(trigger_depth()).from;
  Relation origin = table_open(from.relation, AccessShareLock);
  TupleTableSlot* departed = table_slot_create(origin, nullptr);
  const bool news =
      !table_tuple_fetch_row_version(origin, &from.at, SnapshotAny, departed) || is_news(firing, departed);
  ExecDropSingleTupleTableSlot(departed);
  table_close(origin, NoLock);
  return news;
}

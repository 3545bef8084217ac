// The statements that read the outbox's segments.
//
// Used by the reader alone. Each covers all three segments, and none of them needs
// statistics (the segments have none). Thread rule: pure functions.
#pragma once

#include <string>

namespace muskrat::postgres_outbox::sql {

// What list() takes as a part of a read's transactions.
inline constexpr const char* between = "xid >= $4::xid8 AND xid < $5::xid8";
inline constexpr const char* running = "xid = ANY ($4::xid8[])";

// $1 xmax(last), $2 xip(last) as an array, $3 most rows, $4 most bytes of bodies. One row at least:
// snapshot, flushed, replicated, segment, ctid, id, bytes of the body, then the event's columns (NULL beyond $4).
const std::string& small_read();
// $1 snapshot, $2 and $3 ids between which (both exclusive): segment, ctid, id, bytes; in no order.
std::string list(const std::string& where_xid);
// $1 snapshot, $2 an id, $3 and $4 as list() has $4 and $5: the least and the highest id from $2 on, or NULLs; how
// many.
const std::string& range();
// $1, $2, $3 ctids in segment 1, 2, 3: the event's columns, in no order.
const std::string& by_place();
// $1 ids: segment, ctid, id, ordering key, routing key.
const std::string& locate();

// ---- what was published already, for replay ----
// $1 xmax(last), $2 xip(last), $3 current or NULL, $4 its id, $5 held ids; $6 since, $7 until, $8 ordering keys, $9
// message ids (each NULL: all), $10 endpoints (what was for another alone is left out; NULL: nothing is), $11 routing
// keys (NULL: all), $12 whether what was for one endpoint alone is meant whatever its routing key, $13 the id beyond
// which.
// By routing key and endpoint: both, events, bytes of bodies, first and last id, first and last capture in
// microseconds.
const std::string& published_counts();
// segment, ctid, id, bytes of the body; in no order.
const std::string& published_places();
// $1, $2, $3 ctids in segment 1, 2, 3: the event's columns and the epoch under which it was published, in no order.
const std::string& published_by_place();

}  // namespace muskrat::postgres_outbox::sql

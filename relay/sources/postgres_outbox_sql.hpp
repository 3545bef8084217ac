// The statements that read the outbox's segments.
//
// Used by the reader and the history. Each covers all three segments, and none of them needs the planner's statistics
// (there are none of the segments). Those that say what there is fail on a standby, whoever sends them there; a body
// that cannot be fetched is missed. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>

namespace muskrat::postgres_outbox::sql {

// The event's columns, of which small_read() and those by place have as many at their end, are for read_event(), in
// binary.

// What list() takes as a part of a read's transactions: from the first on and below the second; an array, "{761,763}".
std::string between(uint64_t from, uint64_t to);
std::string among(const std::string& xids);

// $1 xmax(last), $2 xip(last) as an array, $3 most rows, $4 most bytes of bodies, $5 for how many milliseconds to wait
// where there is nothing, $6 for how many microseconds to let events gather before the first look. One row at least:
// snapshot, flushed, replicated, segment, ctid, id, bytes of the body, whether its commit is flushed, then the event's
// columns (NULL beyond $4).
const std::string& small_read();
// For a COPY, of ids between the two (both exclusive): segment, ctid, id, bytes; the smallest ids, at most so many, in
// no order.
std::string list(const std::string& transactions, const std::string& snapshot, int64_t after, int64_t before,
                 size_t most);
// $1 snapshot, $2 an id, $3 and $4 transactions from and to: the least and the highest id from $2 on, or NULLs; how
// many.
const std::string& range();
// $1, $2, $3 ctids in segment 1, 2, 3: the event's columns, in no order.
const std::string& by_place();
// The same with empty bodies, which are not read.
const std::string& by_place_without_bodies();
// $1 ids: segment, ctid, id, ordering key, routing key, bytes of the body.
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

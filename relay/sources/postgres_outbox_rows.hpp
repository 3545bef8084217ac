// Rows of the outbox: where they lie, and the event that one is.
//
// Used by Reader (what is to be published) and History (what was). Thread rule: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "common/event.hpp"
#include "common/pg.hpp"

namespace muskrat::postgres_outbox {

// segment << 48 | block << 16 | offset, from a ctid "(12,3)" of a segment; and its parts back.
uint64_t place_of(int64_t segment, std::string_view ctid);
uint64_t segment_of(uint64_t place);
std::string ctid_of(uint64_t place);  // quoted, as an element of an array

// The columns of sql::event_columns, from `column` on. Source and epoch are the caller's to say.
Event event_of_row(const pg::Result& rows, int row, int column);

}  // namespace muskrat::postgres_outbox

// Rows of the outbox: where they lie, and the event that one is.
//
// Used by Reader (what is to be published) and History (what was). Thread rule: pure functions.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "common/event.hpp"
#include "common/pg.hpp"

namespace muskrat::postgres_outbox {

// segment << 48 | block << 16 | offset, from a ctid "(12,3)" of a segment, or from its six bytes in binary; and its
// parts back.
uint64_t place_of(int64_t segment, std::string_view ctid);
uint64_t place_of_binary(int64_t segment, std::string_view ctid);
uint64_t segment_of(uint64_t place);

// Places as the parameters of a statement by place: an array of ctids for each of the three segments.
class Ctids {
 public:
  void add(uint64_t place);
  // Views this object.
  std::array<pg::Param, 3> params();

 private:
  std::string arrays_[3];
};

// The event's columns (postgres_outbox_sql.hpp) in binary, from `column` on, into a new event. Source and epoch are the
// caller's to say.
void read_event(const pg::Result& rows, int row, int column, Event& event);

}  // namespace muskrat::postgres_outbox

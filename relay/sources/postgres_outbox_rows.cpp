#include "relay/sources/postgres_outbox_rows.hpp"

#include <charconv>

#include "relay/outbox_row.hpp"

namespace muskrat::postgres_outbox {

uint64_t place_of(int64_t segment, std::string_view ctid) {
  uint64_t block = 0, offset = 0;
  const char* end = ctid.data() + ctid.size();
  auto parsed = std::from_chars(ctid.data() + 1, end, block);
  std::from_chars(parsed.ptr + 1, end, offset);
  return static_cast<uint64_t>(segment) << 48 | block << 16 | offset;
}

uint64_t segment_of(uint64_t place) { return place >> 48; }

std::string ctid_of(uint64_t place) {
  return "\"(" + std::to_string(place >> 16 & 0xffffffff) + "," + std::to_string(place & 0xffff) + ")\"";
}

Event event_of_row(const pg::Result& rows, int row, int column) {
  Event event;
  event.seq = rows.int64(row, column);
  event.captured_us = rows.int64(row, column + 1);
  event.message_id = rows.text(row, column + 2);
  const std::string_view op = rows.text(row, column + 3);
  event.op = op_from_char(op.empty() ? 'e' : op.front()).value_or(Op::emit);
  event.routing_key = rows.text(row, column + 4);
  event.key = rows.text(row, column + 5);
  event.body = rows.text(row, column + 6);
  if (!rows.null(row, column + 7)) read_row_headers(rows.text(row, column + 7), event);
  return event;
}

}  // namespace muskrat::postgres_outbox

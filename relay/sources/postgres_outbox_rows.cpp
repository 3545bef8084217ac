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

uint64_t place_of_binary(int64_t segment, std::string_view ctid) {
  const auto block = static_cast<uint32_t>(pg::binary_integer(ctid.substr(0, 4)));
  const auto offset = static_cast<uint16_t>(pg::binary_integer(ctid.substr(4)));
  return static_cast<uint64_t>(segment) << 48 | static_cast<uint64_t>(block) << 16 | offset;
}

uint64_t segment_of(uint64_t place) { return place >> 48; }

void Ctids::add(uint64_t place) {
  std::string& array = arrays_[segment_of(place) - 1];
  array += array.empty() ? '{' : ',';
  char text[24] = "\"(";  // ten digits, five, and six signs at most
  char* end = std::to_chars(text + 2, text + 12, place >> 16 & 0xffffffff).ptr;
  *end++ = ',';
  end = std::to_chars(end, end + 5, place & 0xffff).ptr;
  *end++ = ')';
  *end++ = '"';
  array.append(text, end);
}

std::array<pg::Param, 3> Ctids::params() {
  for (std::string& array : arrays_)
    if (!array.ends_with('}')) array += array.empty() ? "{}" : "}";
  return {arrays_[0], arrays_[1], arrays_[2]};
}

void read_event(const pg::Result& rows, int row, int column, Event& event) {
  event.seq = rows.binary_int(row, column);
  event.captured_us = pg::binary_time_us(rows.text(row, column + 1));
  event.message_id = pg::binary_uuid(rows.text(row, column + 2));
  const std::string_view op = rows.text(row, column + 3);
  event.op = op_from_char(op.empty() ? 'e' : op.front()).value_or(Op::emit);
  event.routing_key = rows.text(row, column + 4);
  event.key = rows.text(row, column + 5);
  event.body = rows.text(row, column + 6);
  if (!rows.null(row, column + 7)) read_row_headers(rows.text(row, column + 7), event);
}

}  // namespace muskrat::postgres_outbox

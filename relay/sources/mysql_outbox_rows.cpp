#include "relay/sources/mysql_outbox_rows.hpp"

#include "relay/outbox_row.hpp"

namespace muskrat::mysql_outbox {

Event event_of_row(const mysql::Result& rows, int row) {
  Event event;
  event.seq = rows.int64(row, 0);
  event.captured_us = rows.int64(row, 1);
  event.message_id = rows.text(row, 2);
  const std::string_view op = rows.text(row, 3);
  event.op = op_from_char(op.empty() ? 'e' : op.front()).value_or(Op::emit);
  event.routing_key = rows.text(row, 4);
  event.key = rows.text(row, 5);
  event.body = rows.text(row, 6);
  if (!rows.null(row, 7)) read_row_headers(rows.text(row, 7), event);
  return event;
}

}  // namespace muskrat::mysql_outbox

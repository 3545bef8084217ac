// One row of the outbox in MySQL or MariaDB, or of its history, as an event.
//
// Used by mysql_outbox_reader.cpp and mysql_outbox_history.cpp. Thread rule: free functions over their arguments.
#pragma once

#include "common/event.hpp"
#include "common/mysql.hpp"

namespace muskrat::mysql_outbox {

// The columns that event_of_row takes, from the first on.
inline constexpr const char* event_columns =
    "id, TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', captured_at), message_id, op, routing_key, ordering_key, "
    "body, headers";
inline constexpr int event_column_count = 8;

// Without source and epoch.
Event event_of_row(const mysql::Result& rows, int row);

}  // namespace muskrat::mysql_outbox

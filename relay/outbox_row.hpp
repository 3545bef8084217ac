// The column `headers` of an outbox row, the same in every kind of outbox.
#pragma once

#include <string_view>

#include "common/event.hpp"

namespace muskrat {

// {"omitted": [...], "traceparent": "...", "to": "...", "as": "..."}, written at capture; into the event's fields.
void read_row_headers(std::string_view headers, Event& event);

}  // namespace muskrat

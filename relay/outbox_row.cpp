#include "relay/outbox_row.hpp"

#include "common/json.hpp"

namespace muskrat {

void read_row_headers(std::string_view headers, Event& event) {
  std::string why;
  auto document = json::Document::parse(headers, why);
  if (!document) return;
  if (auto omitted = document->root().find("omitted")) event.omitted = omitted->dump();
  if (auto trace = document->root().find("traceparent")) event.traceparent = trace->string();
  if (auto to = document->root().find("to")) event.to = to->string();
  if (auto as = document->root().find("as")) event.as = as->string();
}

}  // namespace muskrat

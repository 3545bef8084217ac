extern "C" {
#include "postgres.h"
}

#include "extension/body.hpp"
#include "extension/key.hpp"
#include "extension/outbox.hpp"
#include "extension/tell.hpp"

int tell_row(const CapturePlan& plan, char op, const RoutingKeyText& routing_key, TupleTableSlot* row,
             Addressed addressed) {
  OrderingKey key = ordering_key(plan, row);
  Body body = build_body(plan, row);
  outbox_write(OutboxEvent{op, routing_key.text, routing_key.length, key.text, key.length, body.text, body.length,
                           body.omitted, addressed.to, addressed.as});
  return body.length;
}

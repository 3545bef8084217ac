// The writer's side of the outbox: one event in, one row of a segment table out.
//
// Used by tell.cpp (rows), capture.cpp (TRUNCATE) and emit.cpp (muskrat.emit). outbox.cpp implements it; what a row
// means and how it is read is docs/outbox-protocol.md.
//
// Thread rule: a backend has one thread. Regime: no exceptions, nothing with a destructor; what goes wrong is an ERROR
// raised in here, so the application's transaction fails rather than go uncaptured.
//
// It does not: check routing keys, build JSON, keep the body below muskrat.max_body (its callers do).
#pragma once

// Trivially destructible and borrowed: every pointer lives until outbox_write returns. Text is in the server's
// encoding.
struct OutboxEvent {
  char op;  // i insert, u update, d delete, t truncate, e emit, b backfill
  const char* routing_key;
  int routing_key_len;
  const char* ordering_key;  // null: no order asked for
  int ordering_key_len;
  const char* body;
  int body_len;
  const char* omitted_json;  // JSON array of body paths that were left out, or null
  const char* to = nullptr;  // the one endpoint that it is for; null: all whose subscriptions take it
  const char* as = nullptr;  // backfill: the action words of what would have told of this row, or null
};

// GUC-independent set-up (hooks, callbacks); called once from _PG_init.
void outbox_init();

// Inserts the row directly (no SPI, no executor). The id is drawn in here, while the captured row's lock is held; the
// header `traceparent` is added from the setting muskrat.traceparent.
void outbox_write(const OutboxEvent& event);

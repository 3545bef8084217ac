// What an event carries besides its body: its message id and its headers. Used by outbox.cpp.
//
// Thread rule: a backend has one thread. Regime: no exceptions, nothing with a destructor, ERROR by ereport.
#pragma once

extern "C" {
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"
}

// A UUID of version 7: milliseconds of `captured_at`, then 74 random bits.
void message_id_make(TimestampTz captured_at, pg_uuid_t* id);

// Each may be null; outbox.hpp says what they are.
struct EventHeaders {
  const char* omitted_json;
  const char* to;
  const char* as;
};

// The headers' JSON object in the current memory context, or null when there is nothing to say. A traceparent that
// does not follow W3C Trace Context is left out, as that standard asks: a bad header must not fail a customer's write.
char* event_headers(const EventHeaders& headers);

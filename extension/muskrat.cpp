// The library's entry: what PostgreSQL calls when it loads muskrat.so.
//
// Order of reading: attachments are made by sql/attach.sql; then a row's way is capture.cpp (the trigger) → plan.cpp
// (what this trigger wants, from spec.cpp) → newest.cpp (which version of the row is true) → key.cpp and body.cpp
// (JSON, by json_*.cpp) → outbox.cpp (the row of the outbox) → gathered.cpp (until its statement ends) → insertion.cpp.
// The relay comes in by reading.cpp.
//
// Regime of this folder: C++ without its runtime. No exceptions, no new, no containers, only trivially destructible
// types, because an ERROR is a longjmp that runs no destructor; memory contexts own memory.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"
}

#if PG_VERSION_NUM < 150000
#error "Muskrat needs PostgreSQL 15 or later"
#endif

#include "extension/outbox.hpp"
#include "extension/plan.hpp"
#include "extension/settings.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);  // NOLINT: the name that PostgreSQL looks for
}

int setting_max_body_kb = 8192;
char* setting_traceparent = nullptr;

namespace {

constexpr int traceparent_length = 55;  // version-traceid-parentid-flags

bool check_traceparent(char** value, void**, GucSource) {
  const char* text = *value;
  if (!text || !*text) return true;
  size_t length = strlen(text);
  if (length == traceparent_length && strspn(text, "0123456789abcdef-") == length) return true;
  GUC_check_errdetail("A W3C traceparent has 55 characters: 00-<32 hex>-<16 hex>-<2 hex>, in lower case.");
  return false;
}

}  // namespace

void _PG_init(void) {
  DefineCustomIntVariable("muskrat.max_body", "Largest body of an event; above it the largest columns are left out.",
                          "Columns that were left out are named in the header x-muskrat-omitted.", &setting_max_body_kb,
                          8192, 1, 15360, PGC_SUSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("muskrat.traceparent", "W3C trace context that the events of this session carry.", nullptr,
                             &setting_traceparent, "", PGC_USERSET, 0, check_traceparent, nullptr, nullptr);
  MarkGUCPrefixReserved("muskrat");
  plan_init();
  outbox_init();
}

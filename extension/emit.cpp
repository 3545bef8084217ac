// muskrat.emit(): the application writes an event of its own, in its transaction.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
}

#include "extension/errors.hpp"
#include "extension/key.hpp"
#include "extension/outbox.hpp"
#include "extension/routing.hpp"
#include "extension/settings.hpp"

namespace {

const char* checked_routing_key(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_MUSKRAT_EVENT_REFUSED), errmsg("the routing key of an event is NULL"),
                    errhint("Give <Source>.<Object>.<Action>, for example Frontend.Customer.Signup.")));
  const char* routing_key = text_to_cstring(PG_GETARG_TEXT_PP(0));
  if (const char* problem = routing_key_problem(routing_key))
    ereport(ERROR, (errcode(ERRCODE_MUSKRAT_EVENT_REFUSED), errmsg("\"%s\" is no routing key", routing_key),
                    errdetail("%s", problem), errhint("An example: Frontend.Customer.Signup.")));
  return routing_key;
}

Json checked_body(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(1))
    ereport(ERROR, (errcode(ERRCODE_MUSKRAT_EVENT_REFUSED), errmsg("the body of an event is NULL"),
                    errhint("Give a JSON value; an event that says nothing more has the body {}.")));
  text* document = PG_GETARG_TEXT_PP(1);
  Json body = json_buffer(max_body_bytes());
  json_document(body, VARDATA_ANY(document), static_cast<int>(VARSIZE_ANY_EXHDR(document)));
  if (body.overflowed)
    ereport(ERROR, (errcode(ERRCODE_MUSKRAT_EVENT_REFUSED), errmsg("the body of the event is too large"),
                    errdetail("muskrat.max_body allows %d bytes.", max_body_bytes()),
                    errhint("Send a reference in place of the content, or raise muskrat.max_body (15 MB at most).")));
  return body;
}

OrderingKey key_argument(FunctionCallInfo fcinfo, const char* routing_key) {
  if (PG_ARGISNULL(2)) return OrderingKey{nullptr, 0};
  text* key = PG_GETARG_TEXT_PP(2);
  Json values = json_buffer(MaxAllocSize / 2);
  json_byte(values, '[');
  json_string(values, VARDATA_ANY(key), static_cast<int>(VARSIZE_ANY_EXHDR(key)));
  json_byte(values, ']');
  return ordering_key_of(routing_key, object_length(routing_key), values);
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_emit);

// muskrat.emit(routing_key text, body json, key text) → void
PGDLLEXPORT Datum muskrat_emit(PG_FUNCTION_ARGS) {
  const char* routing_key = checked_routing_key(fcinfo);
  Json body = checked_body(fcinfo);
  OrderingKey key = key_argument(fcinfo, routing_key);
  outbox_write(OutboxEvent{'e', routing_key, static_cast<int>(strlen(routing_key)), key.text, key.length, body.data,
                           body.length, nullptr});
  PG_RETURN_VOID();
}
}

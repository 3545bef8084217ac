#include "extension/message_id.hpp"

#include <cstring>

extern "C" {
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "extension/json.hpp"
#include "extension/settings.hpp"

namespace {

// Random bits of this process alone: a fork must not repeat its parent's.
pg_prng_state* random_state() {
  static pg_prng_state state;
  static int seeded_by = 0;
  if (seeded_by != MyProcPid) {
    if (!pg_prng_strong_seed(&state))
      ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("no random numbers for a message id")));
    seeded_by = MyProcPid;
  }
  return &state;
}

bool is_hex(const char* text, int from, int length) {
  bool all_zero = true;
  for (int i = from; i < from + length; i++) {
    if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'))) return false;
    all_zero &= text[i] == '0';
  }
  return length == 2 || !all_zero;
}

// version-trace id-parent id-flags: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
bool is_traceparent(const char* text) {
  if (text == nullptr || strlen(text) != 55) return false;
  return text[2] == '-' && text[35] == '-' && text[52] == '-' && is_hex(text, 0, 2) && is_hex(text, 3, 32) &&
         is_hex(text, 36, 16) && is_hex(text, 53, 2) && strncmp(text, "ff", 2) != 0;
}

void put_name(Json& json, const char* name) {
  json_separate(json);
  json_member(json, name);
}

void put_text(Json& json, const char* name, const char* text) {
  if (!text) return;
  put_name(json, name);
  json_string(json, text, static_cast<int>(strlen(text)));
}

}  // namespace

void message_id_make(TimestampTz captured_at, pg_uuid_t* id) {
  constexpr int64 epochs_apart_ms = int64{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * 86400 * 1000;
  uint64 milliseconds = static_cast<uint64>(captured_at / 1000 + epochs_apart_ms);
  uint64 high = pg_prng_uint64(random_state());
  uint64 low = pg_prng_uint64(random_state());
  high = (milliseconds << 16) | 0x7000 | (high & 0x0fff);
  low = (low & UINT64CONST(0x3fffffffffffffff)) | UINT64CONST(0x8000000000000000);
  for (int i = 0; i < 8; i++) {
    id->data[i] = static_cast<unsigned char>(high >> (56 - 8 * i));
    id->data[8 + i] = static_cast<unsigned char>(low >> (56 - 8 * i));
  }
}

char* event_headers(const EventHeaders& headers) {
  const char* traceparent = is_traceparent(setting_traceparent) ? setting_traceparent : nullptr;
  if (!headers.omitted_json && !headers.to && !headers.as && !traceparent) return nullptr;
  Json json = json_buffer(MaxAllocSize / 2);
  json_byte(json, '{');
  if (headers.omitted_json) {
    put_name(json, "omitted");
    json_raw(json, headers.omitted_json);
  }
  put_text(json, "traceparent", traceparent);
  put_text(json, "to", headers.to);
  put_text(json, "as", headers.as);
  json_raw(json, "}\0", 2);
  return json.data;
}

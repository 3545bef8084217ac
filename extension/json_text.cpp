// Text to JSON strings: escapes, and the encodings.
extern "C" {
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
}

#include "extension/json.hpp"

namespace {

bool needs_escape(unsigned char c) { return c < 0x20 || c == '"' || c == '\\'; }

// ASCII without anything to escape, which most text is: eight bytes at a time. A byte of `has_zero(x)` is set at least
// at the lowest zero byte of x, and only if there is one.
bool is_plain(const char* text, int count) {
  constexpr uint64 ones = UINT64CONST(0x0101010101010101), highs = UINT64CONST(0x8080808080808080);
  auto has_zero = [](uint64 x) { return (x - ones) & ~x & highs; };
  auto has_less_than_space = [](uint64 x) { return (x - ones * 0x20) & ~x & highs; };
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    uint64 bytes;
    memcpy(&bytes, text + i, sizeof bytes);
    if ((bytes & highs) | has_less_than_space(bytes) | has_zero(bytes ^ ones * '"') | has_zero(bytes ^ ones * '\\'))
      return false;
  }
  for (; i < count; i++)
    if (static_cast<unsigned char>(text[i]) >= 0x80 || needs_escape(text[i])) return false;
  return true;
}

void escape(Json& json, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      return json_raw(json, "\\\"", 2);
    case '\\':
      return json_raw(json, "\\\\", 2);
    case '\b':
      return json_raw(json, "\\b", 2);
    case '\f':
      return json_raw(json, "\\f", 2);
    case '\n':
      return json_raw(json, "\\n", 2);
    case '\r':
      return json_raw(json, "\\r", 2);
    case '\t':
      return json_raw(json, "\\t", 2);
  }
  char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
  json_raw(json, out, 6);
}

void escape_code_unit(Json& json, uint32 unit) {
  char out[8];
  json_raw(json, out, snprintf(out, sizeof out, "\\u%04x", unit));
}

void escape_code_point(Json& json, uint32 code) {
  if (code < 0x10000) return escape_code_unit(json, code);
  code -= 0x10000;
  escape_code_unit(json, 0xd800 + (code >> 10));
  escape_code_unit(json, 0xdc00 + (code & 0x3ff));
}

// `escape_quotes` is false inside JSON text, whose strings are escaped already.
void put_utf8(Json& json, const char* text, int count, bool ascii_only, bool escape_quotes) {
  int start = 0;
  for (int i = 0; i < count && !json.overflowed;) {
    unsigned char c = text[i];
    bool plain = c < 0x80 ? !(escape_quotes && needs_escape(c)) : !ascii_only;
    if (plain) {
      i++;
      continue;
    }
    json_raw(json, text + start, i - start);
    if (c < 0x80) {
      escape(json, c);
      i++;
    } else {
      const auto* at = reinterpret_cast<const unsigned char*>(text + i);
      escape_code_point(json, utf8_to_unicode(at));
      i += pg_utf_mblen(at);
    }
    start = i;
  }
  json_raw(json, text + start, count - start);
}

bool is_ascii_only(const char* text, int count) {
  for (int i = 0; i < count; i++)
    if (static_cast<unsigned char>(text[i]) >= 0x80) return false;
  return true;
}

bool is_utf8(const char* text, int count) { return pg_encoding_verifymbstr(PG_UTF8, text, count) == count; }

// To UTF-8 without an ERROR for what has no equal there; null then.
char* to_utf8(const char* text, int count, int* converted_count) {
  int encoding = GetDatabaseEncoding();
  Oid conversion = FindDefaultConversionProc(encoding, PG_UTF8);
  if (!OidIsValid(conversion)) return nullptr;
  int capacity = Min(count, 256 * 1024 * 1024) * MAX_CONVERSION_GROWTH + 1;
  auto* result = static_cast<unsigned char*>(MemoryContextAllocHuge(CurrentMemoryContext, capacity));
  auto* source = reinterpret_cast<unsigned char*>(const_cast<char*>(text));
  if (pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8, source, count, result, capacity, true) != count)
    return nullptr;
  *converted_count = static_cast<int>(strlen(reinterpret_cast<char*>(result)));
  return reinterpret_cast<char*>(result);
}

// Text that JSON can carry, or null. What comes from another encoding is written as \u escapes (`ascii_only`).
const char* as_utf8(const char* text, int count, int* result_count, bool* ascii_only) {
  int encoding = GetDatabaseEncoding();
  *result_count = count;
  *ascii_only = false;
  if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII) return is_utf8(text, count) ? text : nullptr;
  if (is_ascii_only(text, count)) return text;
  *ascii_only = true;
  return to_utf8(text, count, result_count);
}

void put_base64_object(Json& json, const char* bytes, int count) {
  json_raw(json, "{\"base64\":");
  json_base64(json, bytes, count);
  json_byte(json, '}');
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The end of the token run that starts at `i`: a string whole, or everything up to a space or a string.
int end_of_run(const char* text, int count, int i) {
  if (text[i] != '"') {
    while (i < count && text[i] != '"' && !is_space(text[i])) i++;
    return i;
  }
  for (i++; i < count && text[i] != '"'; i++)
    if (text[i] == '\\') i++;
  return Min(i + 1, count);
}

}  // namespace

void json_string(Json& json, const char* text, int count) {
  if (count > json.limit - json.length) {
    json.overflowed = true;  // before the work of checking it
    return;
  }
  if (is_plain(text, count)) {
    json_byte(json, '"');
    json_raw(json, text, count);
    return json_byte(json, '"');
  }
  int utf8_count;
  bool ascii_only;
  const char* utf8 = as_utf8(text, count, &utf8_count, &ascii_only);
  if (!utf8) return put_base64_object(json, text, count);
  json_byte(json, '"');
  put_utf8(json, utf8, utf8_count, ascii_only, true);
  json_byte(json, '"');
}

void json_member(Json& json, const char* name) {
  int count = static_cast<int>(strlen(name)), utf8_count;
  bool ascii_only;
  const char* utf8 = as_utf8(name, count, &utf8_count, &ascii_only);
  json_byte(json, '"');
  if (utf8) {
    put_utf8(json, utf8, utf8_count, ascii_only, true);
  } else {
    for (int i = 0; i < count; i++) {
      unsigned char c = name[i];
      if (c >= 0x80)
        escape_code_unit(json, c);
      else
        put_utf8(json, name + i, 1, true, true);
    }
  }
  json_raw(json, "\":", 2);
}

void json_document(Json& json, const char* text, int count) {
  int utf8_count;
  bool ascii_only;
  const char* utf8 = as_utf8(text, count, &utf8_count, &ascii_only);
  if (!utf8) return put_base64_object(json, text, count);
  for (int i = 0; i < utf8_count && !json.overflowed;) {
    if (is_space(utf8[i])) {
      i++;
      continue;
    }
    int end = end_of_run(utf8, utf8_count, i);
    put_utf8(json, utf8 + i, end - i, ascii_only, false);
    i = end;
  }
}

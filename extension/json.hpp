// A buffer of JSON text, and the primitives that write into it.
//
// Used by every json_*.cpp, by body.cpp, key.cpp and emit.cpp. What is written is valid JSON in the server's encoding
// that any client encoding can carry: in UTF-8 (and SQL_ASCII) databases text goes in as it is, in all others what is
// not ASCII goes in as \uXXXX. Bytes that are no text at all become {"base64":"…"}.
//
// The buffer has a limit: past it nothing is kept and `overflowed` is set, so that a value of 300 MB costs no 300 MB
// here. Memory is palloc'd in the context of the caller and never freed by us.
//
// It does not: know types (json_types.hpp), check balance of braces.
#pragma once

#include <cstring>

struct Json {
  char* data;
  int length;
  int capacity;
  int limit;        // most bytes to keep
  bool overflowed;  // something did not fit; the text is unusable
  bool canonical;   // equal values must give equal text (ordering keys): numerics lose trailing zeros
};

Json json_buffer(int limit);

// Grows the buffer, or notes that the limit is passed.
void json_raw_beyond_capacity(Json& json, const char* bytes, int count);

// Bytes as they are. Inline: a row's body is made of some fifty of these.
inline void json_raw(Json& json, const char* bytes, int count) {
  if (json.overflowed || count > json.capacity - json.length || count > json.limit - json.length)
    return json_raw_beyond_capacity(json, bytes, count);
  memcpy(json.data + json.length, bytes, count);
  json.length += count;
}
inline void json_raw(Json& json, const char* text) { json_raw(json, text, static_cast<int>(strlen(text))); }
inline void json_byte(Json& json, char byte) { json_raw(json, &byte, 1); }

// A comma, unless this is the first member or element after an opening bracket.
void json_separate(Json& json);

// A quoted, escaped string from text in the server's encoding; {"base64":"…"} when it cannot be text.
void json_string(Json& json, const char* text, int count);

// "name": (never base64; bytes that are no text are read as Latin-1).
void json_member(Json& json, const char* name);

// A quoted base64 string.
void json_base64(Json& json, const char* bytes, int count);

// JSON text, checked by the server before, without the white space between its tokens.
void json_document(Json& json, const char* text, int count);

// A string that is known to be ASCII without anything to escape.
void json_plain_string(Json& json, const char* text);

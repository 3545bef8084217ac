extern "C" {
#include "postgres.h"
}

#include "extension/json.hpp"

Json json_buffer(int limit) {
  constexpr int first_capacity = 1024;
  return Json{static_cast<char*>(palloc(first_capacity)), 0, first_capacity, limit, false, false};
}

static void grow(Json& json, int needed) {
  int64 capacity = json.capacity;
  while (capacity < needed) capacity *= 2;
  json.data = static_cast<char*>(repalloc(json.data, capacity));
  json.capacity = static_cast<int>(capacity);
}

void json_raw_beyond_capacity(Json& json, const char* bytes, int count) {
  if (json.overflowed || count > json.limit - json.length) {
    json.overflowed = true;
    return;
  }
  if (json.length + count > json.capacity) grow(json, json.length + count);
  memcpy(json.data + json.length, bytes, count);
  json.length += count;
}

void json_separate(Json& json) {
  char last = json.length ? json.data[json.length - 1] : '{';
  if (last != '{' && last != '[') json_byte(json, ',');
}

void json_plain_string(Json& json, const char* text) {
  json_byte(json, '"');
  json_raw(json, text);
  json_byte(json, '"');
}

void json_base64(Json& json, const char* bytes, int count) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  json_byte(json, '"');
  for (int i = 0; i < count && !json.overflowed; i += 3) {
    auto at = [&](int k) { return i + k < count ? static_cast<unsigned char>(bytes[i + k]) : 0u; };
    uint32 group = at(0) << 16 | at(1) << 8 | at(2);
    char out[4] = {digits[group >> 18], digits[group >> 12 & 63], digits[group >> 6 & 63], digits[group & 63]};
    if (i + 1 >= count) out[2] = '=';
    if (i + 2 >= count) out[3] = '=';
    json_raw(json, out, 4);
  }
  json_byte(json, '"');
}

extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
}

#include "extension/routing.hpp"

namespace {

constexpr int longest_routing_key = 255;
constexpr char word_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

}  // namespace

const char* routing_key_problem(const char* text) {
  if (strlen(text) > longest_routing_key) return "A routing key has 255 bytes at most.";
  int words = 0;
  for (const char* at = text;; at++) {
    size_t length = strspn(at, word_characters);
    at += length;
    if (*at && *at != '.') return "The words of a routing key are made of A-Z, a-z, 0-9, _ and -.";
    if (!length) return "A word of the routing key is empty; it reads <Source>.<Object>.<Action>.";
    words++;
    if (!*at) break;
  }
  return words == 3 ? nullptr : "A routing key has three words: <Source>.<Object>.<Action>.";
}

int object_length(const char* routing_key) { return static_cast<int>(strrchr(routing_key, '.') - routing_key); }

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_routing_key_problem);

// muskrat.routing_key_problem(routing_key text) → text, NULL when it is good
PGDLLEXPORT Datum muskrat_routing_key_problem(PG_FUNCTION_ARGS) {
  const char* problem = routing_key_problem(text_to_cstring(PG_GETARG_TEXT_PP(0)));
  if (!problem) PG_RETURN_NULL();
  PG_RETURN_TEXT_P(cstring_to_text(problem));
}
}

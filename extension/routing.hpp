// The rules of routing keys, as the requirement gives them: three words of [A-Za-z0-9_-]+, 255 bytes at most.
//
// Used by emit.cpp and, through muskrat.routing_key_problem(), by sql/attach.sql. The relay's side of the same rules is
// common/event.hpp.
#pragma once

// One sentence that says which rule is broken, or null.
const char* routing_key_problem(const char* text);

// The length of `<Source>.<Object>` in a good routing key.
int object_length(const char* routing_key);

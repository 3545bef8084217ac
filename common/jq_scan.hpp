// What a jq expression mentions, seen from its text alone.
//
// Used by jq.cpp when a mapping is loaded: libjq tells nobody which builtins a program uses. Thread rule: free
// function. What it does not do: check the syntax (libjq does).
#pragma once

#include <string>
#include <string_view>

namespace muskrat::jq {

struct Scan {
  std::string fault;        // "" or why the expression is refused, as a sentence's rest: "env is refused: …"
  bool uses_event = false;  // it mentions $event
};

// Refused: what would see more than the event (environment, files, further inputs), what would give another answer at
// a redelivery (the clock), what stops or talks past the host, and numbers that jq does not hold exactly.
Scan scan(std::string_view expression);

}  // namespace muskrat::jq

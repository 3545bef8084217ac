// The process in which jq expressions run, and the only place that knows libjq.
//
// libjq cannot be interrupted from outside and ends its process when memory runs out, so expressions run in a child of
// the program: jq.cpp starts it (this program again, with `evaluator_argument`), main() hands over to serve_jq(). It
// has no environment, opens no file, and ends itself when an expression takes more processor time or memory than is
// allowed. Thread rule: the child's one thread.
//
// Lines on its standard input, each answered by one on its standard output:
//   C<program as a JSON text>                      compile it      =            it is sound
//   E<program as a JSON text>\t<input>             run it          =<JSON>      what it made
//                                                                  -            it made nothing
//                                                                  !<why>       it failed; no value of the event in it
// Programs stay compiled. What it does not do: judge which programs are allowed (jq_scan.hpp does).
#pragma once

#include <cstddef>
#include <string>

namespace muskrat::jq {

inline constexpr const char* evaluator_argument = "jq-evaluator";
inline constexpr size_t memory_bytes = size_t{256} << 20;  // of the whole child
inline constexpr size_t result_bytes = size_t{16} << 20;   // what a broker's message can hold
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool memory_is_bounded = false;  // a sanitizer's shadow takes more than all of it
inline constexpr int processor_seconds = 3;
#else
inline constexpr bool memory_is_bounded = true;
inline constexpr int processor_seconds = 1;  // of one evaluation; SIGPROF ends the child
#endif
inline constexpr int exit_memory = 12;  // the child's exit code when memory ran out

// Serves until its input ends; the exit code.
int serve_jq();

// An error of libjq without what it quotes of the input: "string (…) and number (…) cannot be added".
std::string without_values(const std::string& message);

}  // namespace muskrat::jq

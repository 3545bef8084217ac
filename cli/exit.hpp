// Exit codes, and the exceptions that lead to them outside of common/failure.hpp.
//
// Used by every verb; main.cpp turns them into a message on standard error and
// an exit code. Documented in `muskrat --help`: scripts rely on them.
#pragma once

#include <stdexcept>
#include <string>

namespace muskrat::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failure = 1;   // it failed while running
inline constexpr int exit_usage = 2;     // wrong usage or configuration: nothing was done
inline constexpr int exit_problems = 3;  // it ran and found problems: drift, unreachable servers, …
// Standard output's reader went away before the end: what shells show of a program that SIGPIPE ended.
inline constexpr int exit_cut_short = 141;

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Everything was said on standard error already.
struct BadConfiguration {};

// Standard output's reader is gone (`muskrat dead list | head -1`): exit_cut_short. A verb that changes something, or
// whose answer is of use only as a whole, catches it and throws it again with what is done by then and how to go on;
// without such words it is the end, without a word.
struct BrokenPipe {
  std::string so_far;
};

}  // namespace muskrat::cli

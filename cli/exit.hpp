// Exit codes, and the exceptions that lead to them outside of common/failure.hpp.
//
// Used by every verb; main.cpp turns them into a message on standard error and
// an exit code. Documented in `muskrat --help`: scripts rely on them.
#pragma once

#include <stdexcept>

namespace muskrat::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failure = 1;   // it failed while running
inline constexpr int exit_usage = 2;     // wrong usage or configuration: nothing was done
inline constexpr int exit_problems = 3;  // it ran and found problems: drift, unreachable servers, …

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Everything was said on standard error already.
struct BadConfiguration {};

// Standard output's reader is gone (`muskrat tail | head -1`): the end, without a word.
struct BrokenPipe {};

}  // namespace muskrat::cli

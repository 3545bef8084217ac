// `muskrat check --online`: asks every server the configuration names, and changes nothing.
//
// Used by check.cpp. Thread rule: the main thread.
#pragma once

#include "common/config.hpp"

namespace muskrat::cli {

// Prints a line for each thing asked; exit_problems when one answer was wrong.
int check_online(const Config& config);

}  // namespace muskrat::cli

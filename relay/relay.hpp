// The relay: every configured source on a thread of its own, until told to stop.
//
// A source that cannot start is tried again every few seconds while another one runs or may yet; where none can, the
// process ends, and tells whoever started it so.
#pragma once

#include "common/config.hpp"
#include "common/health.hpp"
#include "common/stop.hpp"

namespace muskrat {

// Options of the `relay:` section.
OptionTable relay_options();

// Runs all sources; returns the process's exit code: 0 after a drained stop, 1 when a source could not go on (the
// others do), or none could start.
int run_relay(const Config& config, StatusBoard& board, const Stop& stop);

}  // namespace muskrat

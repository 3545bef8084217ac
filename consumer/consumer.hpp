// The consumer host: every configured endpoint with a queue, a channel and lanes of its own, until told to stop.
#pragma once

#include "common/config.hpp"
#include "common/health.hpp"
#include "common/stop.hpp"

namespace muskrat {

// Options of the `consumer:` section.
OptionTable consumer_options();
// Options that every endpoint takes beside its kind's: subscribe, lanes, prefetch, batch, retry, on_dead, on_truncate …
OptionTable endpoint_common_options();
// Rules across those options.
void check_endpoint(const Settings& settings, std::vector<Problem>& problems);

// Runs all endpoints; returns the process's exit code: 0 after a clean stop, 1 when one cannot go on (the others do).
int run_consumer(const Config& config, StatusBoard& board, const Stop& stop);

}  // namespace muskrat

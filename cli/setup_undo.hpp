// What setup takes away when it is told to: bindings that have left the configuration, and the queues of an endpoint
// that has.
//
// Used by cli/setup.cpp. Each looks before, and says what it finds; `dry_run` ends there. Exit codes. Thread rule: the
// main thread.
#pragma once

#include <string>
#include <vector>

#include "common/config.hpp"

namespace muskrat::cli {

// Takes the patterns off the endpoint's queue; it need not be in the configuration. UsageError for one that the
// configuration still has for it, or that can match no event.
int unbind_patterns(const Config& config, const std::string& endpoint, const std::vector<std::string>& patterns,
                    bool dry_run);

// Deletes the queues of an endpoint with what they hold: its own and the one of its dead letters. Never while somebody
// consumes, and where there are messages only with a person's word or `yes`. UsageError for one in the configuration.
int remove_queues(const Config& config, const std::string& endpoint, bool dry_run, bool yes);

}  // namespace muskrat::cli

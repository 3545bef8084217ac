// What `muskrat relay` and `muskrat consume` have in common: logs, status page, signals, reload.
//
// Used by relay.cpp and consume.cpp. A reload is a round: the components are
// stopped cleanly and started anew with the new configuration, once that was
// found to be right.
// Thread rule: run_daemon() belongs to the main thread; signals come on one of their own.
#pragma once

#include <string>

#include "cli/context.hpp"
#include "common/health.hpp"

namespace muskrat::cli {

struct Daemon {
  std::string name;                            // "relay"
  std::string what;                            // of its components: "source"
  std::vector<Component> Config::*components;  // what it runs
  Settings Config::*section;                   // its own settings: listen, token
  int (*run)(const Config& config, StatusBoard& board, const Stop& stop);
};

// `only`: the name of the one component to run, or "".
int run_daemon(const Daemon& daemon, const Globals& globals, const std::string& only);

}  // namespace muskrat::cli

// What `muskrat replay` is asked for, and its two ways: events of the outbox again, to one endpoint or to all; or
// what lies in the unrouted queue, to where it is bound now.
//
// Used by replay.cpp, which declares the arguments; replay_outbox.cpp and replay_unrouted.cpp do it. Thread rule: the
// main thread.
#pragma once

#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/stop.hpp"

namespace muskrat::cli {

struct ReplayOrder {
  std::string source, endpoint, since, until, dsn;
  std::vector<std::string> keys, patterns, message_ids;
  int64_t after = 0;
  int64_t rate = 0;  // events a second; 0 = as fast as it goes
  bool to_all = false, all = false, unrouted = false, yes = false, dry_run = false, json = false;

  bool filtered() const {
    return !since.empty() || !until.empty() || !keys.empty() || !patterns.empty() || !message_ids.empty();
  }
};

// AMQP bindings of the patterns; UsageError for one that can match nothing.
std::vector<std::string> checked_bindings(const std::vector<std::string>& patterns);
bool any_binding_matches(const std::vector<std::string>& bindings, const std::string& routing_key);

// Both return the exit code.
int replay_outbox(const Config& config, const Component& source, const ReplayOrder& order, const Stop& stop);
int replay_unrouted(const Config& config, const ReplayOrder& order, const Stop& stop);

}  // namespace muskrat::cli

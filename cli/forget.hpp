// The places in which events of some ordering keys may stand, and how they are taken out of each.
//
// Used by forget.cpp. Every place is looked at and emptied by itself, and both may be done again at any time. Keys and
// bodies are customers' data: neither is printed. Thread rule: the main thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/config.hpp"

namespace muskrat::cli {

struct Found {
  int64_t events = 0;   // that can be taken out
  int64_t waiting = 0;  // that must be published first
  int64_t unseen = 0;   // messages of a queue behind those that could be looked at
};

class Place {
 public:
  Place(std::string its_kind, std::string its_name) : kind(std::move(its_kind)), name(std::move(its_name)) {}
  virtual ~Place() = default;
  virtual Found look() = 0;
  virtual int64_t erase() = 0;  // how many went

  const std::string kind, name;  // "outbox", "frontend"
};

// All that the configuration knows of: the sources' outboxes and held records (only of `source` when it is not empty,
// which `dsn` needs), the unrouted queue, the endpoints' dead letters, and the host's list of events that were passed
// over. Failure when one cannot be reached. `config` and `keys` must outlive the places.
std::vector<std::unique_ptr<Place>> places_of(const Config& config, const std::vector<std::string>& keys,
                                              const std::string& source, const std::string& dsn);

}  // namespace muskrat::cli

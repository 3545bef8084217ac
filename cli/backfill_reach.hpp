// Whom a backfill's events reach: found out before it begins, so that nothing is told to nobody.
//
// Used by backfill.cpp. Thread rule: the main thread.
#pragma once

#include <string>
#include <vector>

#include "cli/backfill_source.hpp"

namespace muskrat::cli {

struct Reach {
  std::string endpoint, kind;
  bool takes = false;
  std::string note;  // why not, or what it will do with them
};

// Each endpoint of the configuration; with `to` that one alone, which needs no subscription.
std::vector<Reach> reach_of(const Config& config, const BackfillPlan& plan, const std::string& to);

// Failure{stop} when the endpoint's queue is not there, or this user of the broker may not publish straight to it.
void require_way_to(const Config& config, const std::string& endpoint);

}  // namespace muskrat::cli

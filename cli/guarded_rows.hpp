// Whether the guard that the host keeps tells an endpoint's rows apart: `guard: state` takes events of one object and
// one row key for newer and older state of one row, which attachments may break.
//
// Used by check_online.cpp, which reads the attachments. Pure. Thread rule: none.
#pragma once

#include <string>
#include <vector>

#include "common/options.hpp"

namespace muskrat::cli {

// An attachment of any source, as far as this goes.
struct GuardedRows {
  std::string source, table, attachment;  // names
  std::string object;                     // <Source>.<Object>
  std::string columns;                    // as they were asked for
  std::vector<std::string> routing_keys;  // of its events
  std::string key;                        // the ordering key's columns where several rows may share it; else ""
};

// What the endpoint would pass over though it is no older state of the same row; one sentence each. For the options of
// an endpoint whose kind has `guard` (consumer/state/guarded.hpp).
std::vector<std::string> guard_warnings(const Settings& endpoint, const std::vector<GuardedRows>& attached);

}  // namespace muskrat::cli

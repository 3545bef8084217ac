// One run of a scheduled source, now, whatever its schedule says.
//
// Used by `muskrat produce`. It is a run like the relay's: the same lock, state, cursor and ids; when it ends well it
// counts as the source's last run. Thread rule: the caller's thread; `watch` is called on it, and what it throws ends
// the run. What it does not do: try again.
#pragma once

#include <functional>
#include <string>

#include "relay/scheduled/run.hpp"

namespace muskrat {

struct Produced {
  RunCounts counts;
  std::string before, after;  // the cursor; "" = none yet
  bool stopped = false;       // asked to stop before the end
  std::string failure;        // why the run failed; "" when it did not
};

// InUse while another process runs this source; Failure when the run cannot begin. What fails later is in the result,
// beside what was done before.
Produced produce(const Run::Surroundings& around, const RunOrder& order);

}  // namespace muskrat

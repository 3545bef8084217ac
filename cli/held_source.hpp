// The records that a scheduled source holds, for the verbs that look at them.
//
// Used by held_list.cpp, held_drop.cpp and forget_places.cpp. They are in the relay's state file; a run may be under
// way meanwhile. Thread rule: the main thread.
#pragma once

#include <memory>

#include "common/config.hpp"
#include "relay/scheduled/state.hpp"

namespace muskrat::cli {

bool runs_on_a_schedule(const Component& source);
// The source's state; null where it has never run. UsageError for a source that has no schedule.
std::unique_ptr<ScheduledState> held_state(const Config& config, const Component& source);

// Calls `see` with each in order.
template <typename See>
void each_held(ScheduledState& state, See see) {
  std::vector<HeldRecord> some;
  for (int64_t behind = 0; !(some = state.held().behind(behind)).empty(); behind = some.back().seq)
    for (const HeldRecord& held : some) see(held);
}

}  // namespace muskrat::cli

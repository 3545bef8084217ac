#include "cli/held_source.hpp"

#include "cli/exit.hpp"
#include "relay/sources.hpp"

namespace muskrat::cli {

bool runs_on_a_schedule(const Component& source) { return kind_of(source).reader != nullptr; }

std::unique_ptr<ScheduledState> held_state(const Config& config, const Component& source) {
  if (!runs_on_a_schedule(source))
    throw UsageError("the source " + source.name + " is of kind " + source.kind +
                     "; only sources with a schedule hold records (what a relay holds of others: muskrat status)");
  return ScheduledState::find(scheduled_state_path(config.relay), source.name);
}

}  // namespace muskrat::cli

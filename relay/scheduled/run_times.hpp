// When a scheduled source is due: an interval, or a cron expression in a time zone, with jitter.
//
// Used by ScheduledSource; run_times_options() stand in each scheduled kind's table and check_run_times() in its
// validate. Pure: the clock comes in as an argument, in microseconds since 1970.
// Runs that were missed are one: next() is in the past then. A clock that was set back does not make a source wait for
// the time it had been: the last run counts as now at the latest (ScheduledSource keeps the now in which it found it).
// Thread rule: immutable. What it does not do: sleep, run, remember.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/options.hpp"
#include "relay/scheduled/cron.hpp"

namespace muskrat {

OptionTable run_times_options();
void check_run_times(const Settings& settings, std::vector<Problem>& problems);

class RunTimes {
 public:
  // Of settings that passed check_run_times(). `name` decides this source's share of the jitter.
  RunTimes(const Settings& settings, std::string name);

  // When the run after `last` is due; `born` stands in for a source that has never run: an interval's first is then at
  // once, a cron expression's at its next time.
  int64_t next(std::optional<int64_t> last, int64_t born, int64_t now) const;

 private:
  int64_t jitter(int64_t due) const;

  std::string name_;
  std::optional<Cron> cron_;
  std::optional<TimeZone> zone_;
  int64_t every_us_ = 0, jitter_us_ = 0;
};

}  // namespace muskrat

// A backfill under way: chunk after chunk, no faster than it was told to and no further ahead of the relay than is
// good.
//
// Used by backfill.cpp. All that matters is in the database: a run that was killed is gone on with by the next. Lost
// connections are made again. Neighbours: BackfillSource, Progress. Thread rule: the main thread.
#pragma once

#include "cli/backfill_source.hpp"
#include "cli/pace.hpp"
#include "cli/progress.hpp"
#include "common/backoff.hpp"

namespace muskrat::cli {

class BackfillRun {
 public:
  struct Options {
    int64_t chunk = 500;
    int64_t rate = 1000;       // rows a second; 0 = as fast as it goes
    int64_t backlog = 10'000;  // pauses while more events than this wait for the relay
    bool json = false;
  };

  BackfillRun(BackfillSource& source, const Options& options, const Stop& stop);
  // Until it is done (true) or stop is requested (false). Failure{stop} for what trying again does not mend.
  bool run(const BackfillEntry& entry);
  const BackfillState& at() const { return at_; }
  milliseconds took() const;

 private:
  void take();
  void step();
  void hold_back();
  void lost(const Failure& failure);
  void rest(milliseconds span) { stop_.wait(span); }
  int64_t bound() const;
  void show();
  std::string line() const;
  json::Object object() const;
  double rows_a_second() const;

  BackfillSource& source_;
  const Options options_;
  const Stop& stop_;
  Pace pace_;
  Progress progress_;
  BackfillEntry entry_;
  BackfillState at_;
  int64_t passed_before_ = 0, events_checked_ = 0;
  Backoff locked_;  // while nothing but locked rows is left
  SteadyTime began_{}, next_check_{};
  std::string waits_for_;
};

}  // namespace muskrat::cli

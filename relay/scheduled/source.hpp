// The life of a source that wakes on a schedule: wait, run, sleep again; for ever.
//
// Made by run_relay() around a kind's RecordReader. A run that fails is counted, shown, remembered and tried again
// after `retry`; the cursor stays where the broker's confirms have brought it. Runs of one source never overlap: there
// is one thread, and a lock beside the state file that `muskrat produce` and other relays on this machine take too.
// Neighbours: RunTimes (when), Run (how), ScheduledState (what is remembered). Thread rule: the source's thread.
// What it does not do: stop. Whatever fails may be mended outside.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/state_path.hpp"
#include "relay/scheduled/meters.hpp"
#include "relay/scheduled/reader.hpp"
#include "relay/scheduled/run_times.hpp"
#include "relay/scheduled/state.hpp"
#include "relay/sources.hpp"

namespace muskrat {

// What every scheduled kind takes beside its own: when it runs, and what becomes of a record.
OptionTable scheduled_options();
void check_scheduled(const Settings& settings, std::vector<Problem>& problems);

// Who may run a source now. Nothing is held while another process runs it.
FileLock try_run_lock(const Config& config, const std::string& source);
// Whether one is under way on this machine, as far as can be known.
bool run_under_way(const Config& config, const std::string& source);

class ScheduledSource : public Source {
 public:
  ScheduledSource(const SourceContext& context, std::unique_ptr<RecordReader> reader);
  void run(const Stop& stop) override;

 private:
  const Settings& settings() const { return context_.component.settings; }
  const std::string& name() const { return context_.component.name; }
  void attempt(const Stop& stop);
  void see_whether_mended();
  void show_success();
  int64_t due(int64_t now);
  bool run_when_free(const Stop& stop);
  void run_once(int64_t begun_us, const Stop& stop);
  void failed(const std::string& why);
  void succeeded(const RunCounts& counts);
  void sleep_until(int64_t us, const Stop& stop);
  void watch(const RunCounts& counts, const std::string& trouble);
  void show(const RunCounts& counts, int64_t next_us);

  SourceContext context_;
  std::string board_name_;
  std::unique_ptr<RecordReader> reader_;
  RunTimes times_;
  ScheduledMeters meters_;
  std::unique_ptr<ScheduledState> state_;
  RunCounts last_;
  std::optional<int64_t> retry_at_us_;
  int64_t failed_us_ = 0;               // when the last run failed
  std::optional<int64_t> set_back_us_;  // when the clock was found to be behind the last run
  std::string trouble_;
};

}  // namespace muskrat

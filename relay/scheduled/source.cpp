#include "relay/scheduled/source.hpp"

#include <algorithm>

#include "common/log.hpp"
#include "common/utc_text.hpp"

namespace muskrat {
namespace {

constexpr milliseconds tick{1000};  // a clock that jumps is noticed within it

constexpr Option bad_record_options[] = {
    {"on_bad_record", OptionType::choice, "hold", "hold|fail",
     "A record of which no event can be made: hold keeps it in relay.state, goes on, and tries it again in each run; "
     "fail ends the run before anything of its page is sent."},
    {"held_max", OptionType::integer, "100", "1..1000",
     "Most records held; one more fails the run, since then the mapping may well be wrong for all."},
};

std::string run_lock_path(const Config& config, const std::string& source) {
  return scheduled_state_path(config.relay) + "." + source + ".lock";
}

}  // namespace

OptionTable scheduled_options() {
  static const std::vector<Option> all = joined({record_options(), bad_record_options, run_times_options()});
  return all;
}

void check_scheduled(const Settings& settings, std::vector<Problem>& problems) {
  check_run_times(settings, problems);
  check_record(settings, problems);
}

FileLock try_run_lock(const Config& config, const std::string& source) {
  return FileLock::try_take(run_lock_path(config, source), "relay.state");
}

bool run_under_way(const Config& config, const std::string& source) {
  return FileLock::held(run_lock_path(config, source));
}

ScheduledSource::ScheduledSource(const SourceContext& context, std::unique_ptr<RecordReader> reader)
    : context_(context),
      board_name_("source " + name()),
      reader_(std::move(reader)),
      times_(settings(), name()),
      meters_(name()) {}

void ScheduledSource::run(const Stop& stop) {
  context_.board.set(board_name_, false, "starting", "");
  while (!stop.requested()) attempt(stop);
  meters_.rest();
}

void ScheduledSource::attempt(const Stop& stop) {
  try {
    see_whether_mended();
    if (retry_at_us_ && wall_clock_us() < *retry_at_us_) return sleep_until(*retry_at_us_, stop);
    if (!state_) {
      state_ = ScheduledState::open(scheduled_state_path(context_.config.relay), name(), reader_->shape());
      show_success();
    }
    const int64_t now = wall_clock_us(), next = due(now);
    if (next > now) return sleep_until(next, stop);
    if (run_when_free(stop)) return;
    context_.board.set(board_name_, true, "standby", "another process on this machine runs this source");
    stop.wait(tick);
  } catch (const Failure& failure) {
    if (!stop.requested()) failed(failure.what());
  }
}

// By `muskrat produce`, whose run counts as ours.
void ScheduledSource::see_whether_mended() {
  if (trouble_.empty() || !state_) return;
  state_->load();
  if (!state_->history().trouble.empty() || state_->history().success_us.value_or(0) <= failed_us_) return;
  trouble_.clear();
  retry_at_us_.reset();
  show_success();
}

void ScheduledSource::show_success() {
  meters_.last_success->set(static_cast<double>(state_->history().success_us.value_or(0)) / 1e6);
}

// A last run that lies in the future was made before the clock was set back. It counts as of when that was found: as of
// now, which moves on, the next run would never be due until the clock has come to where it had been.
int64_t ScheduledSource::due(int64_t now) {
  const auto last = state_->history().begun_us;
  const int64_t latest = last.value_or(state_->born_us());
  if (latest <= now) {
    set_back_us_.reset();
  } else if (!set_back_us_ || now < *set_back_us_) {
    set_back_us_ = now;
  }
  const int64_t most = set_back_us_.value_or(latest);
  return times_.next(last ? std::optional(std::min(*last, most)) : last, std::min(state_->born_us(), most), now);
}

// False while another process runs this source.
bool ScheduledSource::run_when_free(const Stop& stop) {
  const FileLock lock = try_run_lock(context_.config, name());
  if (!lock) return false;
  state_->load();
  const int64_t now = wall_clock_us(), next = due(now);
  show_success();
  // The other one has done it.
  if (next > now) return true;
  run_once(now, stop);
  return true;
}

void ScheduledSource::run_once(int64_t begun_us, const Stop& stop) {
  log::info("relay", "run started", {{"source", name()}});
  Run run({context_.config, context_.component, stop,
           [this](const RunCounts& counts, const std::string& trouble) { watch(counts, trouble); }},
          state_.get(), {});
  watch(run.counts(), "");
  run.drive([this](Run& whole) { reader_->read(whole); });
  last_ = run.counts();
  if (stop.requested()) return;
  state_->succeeded(begun_us, wall_clock_us());
  succeeded(run.counts());
}

void ScheduledSource::failed(const std::string& why) {
  meters_.failures->add();
  const milliseconds pause = settings().duration("retry");
  failed_us_ = wall_clock_us();
  retry_at_us_ = failed_us_ + pause.count() * 1000;
  trouble_ = why;
  log::error("relay", "run failed, the cursor stays with what was confirmed",
             {{"source", name()}, {"why", why}, {"retry_ms", static_cast<int64_t>(pause.count())}});
  context_.board.set(board_name_, false, "failed", why);
  try {
    if (state_) state_->failed(why);
  } catch (const Failure&) {
    state_.reset();  // it may be what has failed
  }
}

void ScheduledSource::succeeded(const RunCounts& counts) {
  retry_at_us_.reset();
  trouble_.clear();
  meters_.runs->add();
  meters_.last_success->set(static_cast<double>(wall_clock_us()) / 1e6);
  meters_.late->set(0);
  log::info("relay", "run ended",
            {{"source", name()},
             {"read", counts.read},
             {"sent", counts.sent},
             {"deleted", counts.deleted},
             {"repeated", counts.repeated},
             {"filtered", counts.filtered},
             {"held", counts.held}});
}

// One tick at a time, and the caller asks the schedule again: a clock that jumped is seen.
void ScheduledSource::sleep_until(int64_t us, const Stop& stop) {
  const int64_t now = wall_clock_us();
  // A clock that was set back does not make the retry wait for what it was.
  if (retry_at_us_) retry_at_us_ = std::min(*retry_at_us_, now + settings().duration("retry").count() * 1000);
  if (trouble_.empty()) context_.board.set(board_name_, true, "sleeping", "the next run is due at " + utc_text(us));
  meters_.next_run->set(static_cast<double>(us) / 1e6);
  if (state_) {
    meters_.late->set(static_cast<double>(std::max<int64_t>(0, now - due(now))) / 1e6);
    last_.holding = state_->held().count();  // `muskrat held drop` may have been there
    meters_.held->set(static_cast<double>(last_.holding));
  }
  show(last_, us);
  context_.board.beat(board_name_);
  stop.wait(std::min(tick, milliseconds(std::max<int64_t>(1, (us - now) / 1000 + 1))));
}

void ScheduledSource::watch(const RunCounts& counts, const std::string& trouble) {
  context_.board.set(board_name_, trouble.empty(), "running", trouble);
  const int64_t now = wall_clock_us();
  meters_.late->set(static_cast<double>(std::max<int64_t>(0, now - due(now))) / 1e6);
  meters_.held->set(static_cast<double>(counts.holding));
  show(counts, now);
}

void ScheduledSource::show(const RunCounts& counts, int64_t next_us) {
  std::vector<std::pair<std::string, std::string>> figures{{"pages", std::to_string(counts.pages)},
                                                           {"read", std::to_string(counts.read)},
                                                           {"sent", std::to_string(counts.sent)},
                                                           {"repeated", std::to_string(counts.repeated)},
                                                           {"left out", std::to_string(counts.filtered)}};
  if (counts.deleted > 0) figures.emplace_back("deleted", std::to_string(counts.deleted));
  if (counts.holding > 0) figures.emplace_back("held", std::to_string(counts.holding));
  if (counts.expected) figures.emplace_back("expected", "about " + std::to_string(*counts.expected));
  if (state_ && state_->history().success_us)
    figures.emplace_back("last success", utc_text(*state_->history().success_us));
  figures.emplace_back("next run", utc_text(next_us));
  context_.board.set_figures(board_name_, std::move(figures));
}

}  // namespace muskrat

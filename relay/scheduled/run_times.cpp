#include "relay/scheduled/run_times.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "common/clock.hpp"
#include "common/digest.hpp"

namespace muskrat {

OptionTable run_times_options() {
  static const std::array options{
      Option{"every", OptionType::duration, "", "1s..366d", "Run so long after the run before began. Or give cron."},
      Option{"cron", OptionType::text, "", "",
             "Run when this says: minute, hour, day of the month, month, day of the week, as in crontab(5)."},
      Option{"time_zone", OptionType::text, "UTC", "", "The zone of cron, such as America/Chicago."},
      Option{"jitter", OptionType::duration, "0s", "0s..1d",
             "Each run begins up to so much later, so that many sources do not start as one; the same for one run "
             "however often it is tried."},
      Option{"retry", OptionType::duration, "1m", "1s..1d", "How long after a run that failed it is tried again."},
  };
  return options;
}

void check_run_times(const Settings& settings, std::vector<Problem>& problems) {
  if (settings.given("every") == settings.given("cron")) {
    const std::string_view at = settings.given("every") ? "cron" : "every";
    problems.push_back({settings.where(at), "give every or cron, one of the two: when this source is to run"});
    return;
  }
  const auto zone = TimeZone::find(settings.text("time_zone"));
  if (!zone)
    problems.push_back({settings.where("time_zone"), "time_zone: there is no zone " + settings.text("time_zone") +
                                                         "; give one of the system's database, such as Europe/Berlin"});
  if (!settings.given("cron")) return;
  std::string why;
  const auto cron = Cron::parse(settings.text("cron"), why);
  if (!cron) {
    problems.push_back({settings.where("cron"), "cron: " + why});
  } else if (zone && !cron->after(wall_clock_us(), *zone)) {
    problems.push_back({settings.where("cron"), "cron: it never fires; there is no such day in the next nine years"});
  }
}

RunTimes::RunTimes(const Settings& settings, std::string name)
    : name_(std::move(name)), zone_(TimeZone::find(settings.text("time_zone"))) {
  if (settings.given("every")) every_us_ = settings.duration("every").count() * 1000;
  jitter_us_ = settings.duration("jitter").count() * 1000;
  std::string why;
  if (settings.given("cron")) cron_ = Cron::parse(settings.text("cron"), why);
  if (every_us_ == 0 && (!cron_ || !zone_)) throw std::logic_error("a schedule that was not checked: " + why);
}

int64_t RunTimes::next(std::optional<int64_t> last, int64_t born, int64_t now) const {
  if (!last && !cron_) return std::min(born, now);
  const int64_t from = std::min(last.value_or(born), now);
  if (!cron_) return from + every_us_ + jitter(from + every_us_);
  // An expression that fires today may stop to: nine years on it is asked again.
  const int64_t due = cron_->after(from, *zone_).value_or(from + int64_t{9} * 366 * 86'400'000'000);
  return due + jitter(due);
}

int64_t RunTimes::jitter(int64_t due) const {
  if (jitter_us_ == 0) return 0;
  const std::string hash = sha256(name_ + " " + std::to_string(due));
  uint64_t drawn = 0;
  for (size_t i = 0; i < 7; ++i) drawn = drawn << 8 | static_cast<unsigned char>(hash[i]);
  return static_cast<int64_t>(drawn % static_cast<uint64_t>(jitter_us_ + 1));
}

}  // namespace muskrat

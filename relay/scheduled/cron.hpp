// A cron expression: when something is due by a time zone's clock on the wall.
//
// Used by RunTimes. Five fields as in crontab(5): minute, hour, day of the month, month, day of the week; `*`, numbers,
// ranges, lists, steps, and the English names of months and weekdays (jan, mon; Sunday is 0 or 7). Where both days are
// restricted, either will do.
// Clocks that go forward: a time that they pass over is due as soon as they have, unless the hour is `*` or `*/n`.
// Clocks that go back: a time that comes twice is due the first time; both times where the hour is `*` or `*/n`.
// Thread rule: immutable. What it does not do: seconds, years, @daily, the zone of the process.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/time_zone.hpp"

namespace muskrat {

class Cron {
 public:
  // nullopt + why (names the field) for what is no expression.
  static std::optional<Cron> parse(std::string_view text, std::string& why);

  // The first instant after `us` (microseconds since 1970); nullopt when there is none within nine years, which is
  // more than lies between two 29ths of February: 30 February never comes.
  std::optional<int64_t> after(int64_t us, const TimeZone& zone) const;

 private:
  using Set = std::bitset<64>;
  std::optional<int64_t> of_day(int64_t day, int64_t after, const TimeZone& zone) const;
  bool takes(int64_t day) const;

  Set minutes_, hours_, days_, months_, weekdays_;
  bool any_day_ = false, any_weekday_ = false, every_hour_ = false;
};

}  // namespace muskrat

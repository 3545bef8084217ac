// A time zone of the system's database, such as America/Chicago: where a day begins there, whatever the clocks did.
//
// Used by consumer/limits/quota.cpp and relay/scheduled/cron.cpp. Howard Hinnant's date (tz.h) is included in
// time_zone.cpp alone; it reads /usr/share/zoneinfo. Thread rule: a handle, free to copy; the database is read once.
// What it does not do: the zone of the process ($TZ): configurations say which they mean.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace muskrat {

class TimeZone {
 public:
  // nullopt for a name that the database does not have, and where there is no database.
  static std::optional<TimeZone> find(const std::string& name);

  // The first instants of the day that holds `us`, and of the next one; microseconds since 1970.
  int64_t day_begin(int64_t us) const { return day(us, 0); }
  int64_t next_day_begin(int64_t us) const { return day(us, 1); }

  // What the clock on the wall shows at `us`, as microseconds since 1970-01-01 00:00 of that clock.
  int64_t wall(int64_t us) const;
  // When the clock on the wall shows `wall`: once as a rule, twice where clocks go back, never where they go forward;
  // then both are the instant at which they do.
  struct Instants {
    int64_t first, last;
    bool shown = true;
  };
  Instants instants(int64_t wall) const;

 private:
  explicit TimeZone(const void* zone) : zone_(zone) {}
  int64_t day(int64_t us, int later) const;
  const void* zone_;  // date::time_zone, never freed
};

}  // namespace muskrat

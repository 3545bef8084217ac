#include "common/time_zone.hpp"

#include <chrono>
#include <stdexcept>

// as Debian's library was built
#define USE_OS_TZDB 1
#define HAS_STRING_VIEW 1
#include <date/tz.h>

namespace muskrat {

std::optional<TimeZone> TimeZone::find(const std::string& name) {
  try {
    return TimeZone(date::locate_zone(name));
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
}

int64_t TimeZone::day(int64_t us, int later) const {
  const auto& zone = *static_cast<const date::time_zone*>(zone_);
  const date::sys_time<std::chrono::microseconds> instant{std::chrono::microseconds(us)};
  const auto midnight = date::floor<date::days>(zone.to_local(instant)) + date::days(later);
  // a midnight that does not exist (clocks went forward over it) or exists twice: the first instant of that day
  const auto begin = zone.to_sys(midnight, date::choose::earliest);
  return std::chrono::duration_cast<std::chrono::microseconds>(begin.time_since_epoch()).count();
}

int64_t TimeZone::wall(int64_t us) const {
  const auto& zone = *static_cast<const date::time_zone*>(zone_);
  const date::sys_time<std::chrono::microseconds> instant{std::chrono::microseconds(us)};
  return zone.to_local(instant).time_since_epoch().count();
}

TimeZone::Instants TimeZone::instants(int64_t wall) const {
  const auto& zone = *static_cast<const date::time_zone*>(zone_);
  const date::local_time<std::chrono::microseconds> local{std::chrono::microseconds(wall)};
  return {zone.to_sys(local, date::choose::earliest).time_since_epoch().count(),
          zone.to_sys(local, date::choose::latest).time_since_epoch().count(),
          zone.get_info(local).result != date::local_info::nonexistent};
}

}  // namespace muskrat

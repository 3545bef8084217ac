#include "relay/sources/http_json_windows.hpp"

#include <algorithm>

namespace muskrat::http_json {
namespace {

int64_t down_to(int64_t us, int64_t multiple) {
  const int64_t rest = us % multiple;
  return us - (rest < 0 ? rest + multiple : rest);
}

int64_t micros(const Settings& settings, const char* option) { return settings.duration(option).count() * 1000; }

}  // namespace

Windows::Windows(const Settings& settings, int64_t start)
    : start_(start),
      window_(micros(settings, "window")),
      lookback_(micros(settings, "lookback")),
      delay_(micros(settings, "delay")),
      granularity_(micros(settings, "granularity")) {}

int64_t Windows::begin(std::optional<int64_t> cursor, int64_t now) const {
  if (!cursor) return down_to(start_, granularity_);
  return down_to(std::min(*cursor, end_at(now)) - lookback_, granularity_);
}

int64_t Windows::end_at(int64_t now) const { return down_to(now - delay_, granularity_); }

std::optional<Window> Windows::at(int64_t from, int64_t end) const {
  if (from >= end) return std::nullopt;
  const int64_t within = down_to(from, window_), next = within + window_;
  return Window{from, std::min(next, end), next <= end && from == within, within};
}

}  // namespace muskrat::http_json

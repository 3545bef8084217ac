// The windows of time that a run asks for: [from, to), one after another, each the next one's beginning.
//
// Used by http_json.cpp. They begin at whole multiples of their length, so that a window that is asked for again is the
// same one (and its ETag holds); the last one ends with what is there by now. Pure: the clock comes in as an argument.
// Thread rule: a plain value. Times are microseconds since 1970.
#pragma once

#include <cstdint>
#include <optional>

#include "common/options.hpp"

namespace muskrat::http_json {

struct Window {
  int64_t from = 0, to = 0;
  bool whole = false;  // as long as a window is, and not cut off by now
  int64_t within = 0;  // where the whole one begins that it is a part of
};

class Windows {
 public:
  // `start`: where a source that has no cursor yet begins.
  Windows(const Settings& settings, int64_t start);
  // Where a run begins, whose last one ended at `cursor`; a clock that is set back does not make it wait.
  int64_t begin(std::optional<int64_t> cursor, int64_t now) const;
  // The window at `from`; nullopt when nothing is there yet. `end` is end_at(now).
  std::optional<Window> at(int64_t from, int64_t end) const;
  // Up to where there may be records: `delay` ago, in whole `granularity`.
  int64_t end_at(int64_t now) const;

 private:
  int64_t start_, window_, lookback_, delay_, granularity_;
};

}  // namespace muskrat::http_json

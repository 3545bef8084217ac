#include "common/clock.hpp"

#include <algorithm>
#include <climits>

#include <time.h>

namespace muskrat {

int Deadline::poll_timeout() const {
  auto left = instant_ - std::chrono::steady_clock::now();
  // Up, not down: rounded down, the last millisecond would be spent spinning on poll(…, 0).
  auto rounded = std::chrono::ceil<milliseconds>(left).count();
  return static_cast<int>(std::clamp<int64_t>(rounded, 0, INT_MAX));
}

milliseconds boottime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + milliseconds(now.tv_nsec / 1'000'000);
}

int64_t wall_clock_us() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

}  // namespace muskrat

#include "relay/scheduled/instant.hpp"

#include "common/clock.hpp"
#include "common/duration.hpp"
#include "common/utc_text.hpp"

namespace muskrat {

std::optional<int64_t> instant_of(const std::string& text) {
  if (const auto ago = parse_duration(text)) return wall_clock_us() - ago->count() * 1000;
  return utc_from_text(text);
}

}  // namespace muskrat

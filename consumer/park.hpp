// Why an endpoint takes nothing for now, and until when.
//
// Used by consumer/host.cpp (which parks), limits/call_gate.hpp (which says that a rate or a quota is used up),
// figures.hpp (which shows it) and park_notes.hpp (which tells `muskrat status`). Thread rule: plain values.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "common/clock.hpp"

namespace muskrat {

enum class ParkReason {
  trouble,  // the endpoint is down, or fails too often: the circuit is open
  asked,    // the endpoint wants no calls until a time (Retry-After, an outcome `park`)
  rate,     // the configured rate is used up
  quota,    // the configured quota is used up
};
// As in metrics and logs.
inline constexpr std::array<std::string_view, 4> park_reasons{"trouble", "asked", "rate", "quota"};

struct Park {
  ParkReason reason = ParkReason::trouble;
  SteadyTime until{};
  std::string why;
};

}  // namespace muskrat

// "100 calls per 20s", "50/s", "1000 records per 1m", "50000 per day": how much in which time, as rates and quotas are
// written.
//
// Used by rate.cpp and quota.cpp. Pure. Thread rule: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.hpp"

namespace muskrat::limits {

enum class Unit { calls, records };

struct Amount {
  int64_t count = 0;
  Unit unit = Unit::calls;
  milliseconds period{0};  // 0: a calendar day
};

// nullopt + why, in words that fit after "<option>: ". Calls where the text does not say which.
std::optional<Amount> parse_amount(std::string_view text, std::string& why);

// "100 calls per 20s", "50000 calls per day"
std::string describe(const Amount& amount);

}  // namespace muskrat::limits

// A quota: how much may go in a day of some time zone, or within any span of hours ("per 24h").
//
// Used by quota_book.cpp, which keeps the count. What went is kept in slots of a quarter of an hour (shorter for short
// spans), so that a count is some hundred rows whatever its size; a slot counts until all of it has left the span.
// The one place where the wall clock decides something, since the other side counts by it. A clock that jumps costs a
// bounded error: slots that lie ahead count for no longer than the day or span that holds now, so a clock that was
// wrong for a while burns nothing beyond; and each jump into another day grants at most the quota of that day.
// Pure: time is handed in. Thread rule: plain values.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "common/time_zone.hpp"
#include "consumer/limits/amount.hpp"

namespace muskrat::limits {

// What went in one slot. Microseconds since 1970, wall time.
struct Spent {
  int64_t slot_us = 0, amount = 0;
};

class Quota {
 public:
  // `zone`: for a quota per day.
  Quota(const Amount& amount, TimeZone zone, std::string zone_name)
      : amount_(amount), zone_(zone), zone_name_(std::move(zone_name)) {}

  const Amount& amount() const { return amount_; }
  // "the quota of 50000 calls per day (America/Chicago)"
  std::string text() const;

  int64_t slot_of(int64_t now_us) const;
  // Slots before it count no more.
  int64_t counts_from(int64_t now_us) const;
  int64_t used(std::span<const Spent> spent, int64_t now_us) const;
  // When `n` more may go, if nothing else goes; now_us when they may now.
  int64_t opens_at(std::span<const Spent> spent, int64_t n, int64_t now_us) const;

 private:
  bool per_day() const { return amount_.period.count() == 0; }
  int64_t period_us() const { return amount_.period.count() * 1000; }
  int64_t slot_length_us() const;
  bool counts(const Spent& spent, int64_t now_us) const;

  Amount amount_;
  TimeZone zone_;
  std::string zone_name_;
};

}  // namespace muskrat::limits

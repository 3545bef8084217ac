#include "consumer/limits/quota.hpp"

#include <algorithm>

namespace muskrat::limits {
namespace {

// Every zone's days begin at a multiple of it.
constexpr int64_t quarter_us = int64_t{15} * 60 * 1'000'000;

int64_t floor_to(int64_t us, int64_t step) { return us - ((us % step) + step) % step; }

}  // namespace

std::string Quota::text() const {
  return "the quota of " + describe(amount_) + (per_day() ? " (" + zone_name_ + ")" : "");
}

int64_t Quota::slot_length_us() const { return per_day() ? quarter_us : std::min(quarter_us, period_us() / 96); }

int64_t Quota::slot_of(int64_t now_us) const { return floor_to(now_us, slot_length_us()); }

int64_t Quota::counts_from(int64_t now_us) const {
  return per_day() ? zone_.day_begin(now_us) : now_us - period_us() - slot_length_us() + 1;
}

bool Quota::counts(const Spent& spent, int64_t now_us) const {
  const int64_t until = per_day() ? zone_.next_day_begin(now_us) : now_us + period_us();
  return spent.slot_us >= counts_from(now_us) && spent.slot_us < until;
}

int64_t Quota::used(std::span<const Spent> spent, int64_t now_us) const {
  int64_t sum = 0;
  for (const Spent& each : spent)
    if (counts(each, now_us)) sum += each.amount;
  return sum;
}

int64_t Quota::opens_at(std::span<const Spent> spent, int64_t n, int64_t now_us) const {
  int64_t too_many = used(spent, now_us) + std::min(n, amount_.count) - amount_.count;
  if (too_many <= 0) return now_us;
  if (per_day()) return zone_.next_day_begin(now_us);
  std::vector<Spent> oldest_first(spent.begin(), spent.end());
  std::sort(oldest_first.begin(), oldest_first.end(),
            [](const Spent& a, const Spent& b) { return a.slot_us < b.slot_us; });
  for (const Spent& each : oldest_first) {
    if (!counts(each, now_us)) continue;
    too_many -= each.amount;
    if (too_many <= 0) return each.slot_us + slot_length_us() + period_us();
  }
  return now_us + period_us();
}

}  // namespace muskrat::limits

#include "consumer/limits/rate.hpp"

#include <algorithm>

namespace muskrat::limits {
namespace {

constexpr int portions_most = 64;

}  // namespace

void RateWindow::forget(SteadyTime now) {
  for (; !portions_.empty() && portions_.front().last + amount_.period <= now; portions_.pop_front())
    inside_ -= portions_.front().n;
}

SteadyTime RateWindow::opens_at(int64_t n, SteadyTime now) {
  forget(now);
  int64_t too_many = inside_ + std::min(n, amount_.count) - amount_.count;
  for (const Portion& portion : portions_) {
    if (too_many <= 0) break;
    too_many -= portion.n;
    if (too_many <= 0) return portion.last + amount_.period;
  }
  return now;
}

void RateWindow::take(int64_t n, SteadyTime now) {
  inside_ += n;
  if (inside_ > amount_.count / 2) scarce_until_ = now + amount_.period;
  if (!portions_.empty() && now - portions_.back().first < amount_.period / portions_most) {
    portions_.back().last = now;
    portions_.back().n += n;
    return;
  }
  portions_.push_back({now, now, n});
}

}  // namespace muskrat::limits

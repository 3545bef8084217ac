#include "cli/pace.hpp"

#include <algorithm>

#include "cli/exit.hpp"

namespace muskrat::cli {

void Pace::restart() { due_ = std::chrono::steady_clock::now(); }

void Pace::done(int64_t count) {
  if (a_second_ <= 0) return;
  const SteadyTime now = std::chrono::steady_clock::now();
  due_ = std::max(due_, now - std::chrono::seconds(1)) + std::chrono::microseconds(count * 1'000'000 / a_second_);
  if (due_ > now) stop_.wait(std::chrono::duration_cast<milliseconds>(due_ - now));
}

int64_t rate_of(const std::string& text, const std::string& things) {
  if (text == "max") return 0;
  std::string digits = text;
  if (digits.ends_with("/s")) digits.resize(digits.size() - 2);
  const bool number = !digits.empty() && digits.size() <= 9 && digits.find_first_not_of("0123456789") == digits.npos;
  if (const int64_t rate = number ? std::stoll(digits) : 0; rate > 0) return rate;
  throw UsageError("--rate " + text + " is no number of " + things + " a second, such as 500/s, nor max");
}

}  // namespace muskrat::cli

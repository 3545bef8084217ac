#include "common/backoff.hpp"

#include <algorithm>
#include <random>

namespace muskrat {

namespace {

int64_t random_between(int64_t low, int64_t high) {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return std::uniform_int_distribution<int64_t>(low, high)(engine);
}

}  // namespace

milliseconds Backoff::next() {
  auto step = std::min(next_, most_);
  next_ = std::min(step * 2, most_);
  return milliseconds(random_between(step.count() / 2, step.count()));
}

}  // namespace muskrat

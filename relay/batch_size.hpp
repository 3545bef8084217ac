// How many rows the next statement takes, where nobody knows how large they are: few at
// first, twice as many as long as that is quick, half as many after it took long or failed.
//
// Used by the mysql source, where a statement over rows with large bodies may outlast its
// deadline: tried again as it was, it would never get through. So it is kept for as long
// as the source lives, across its connections. Pure. Thread rule: one owner.
#pragma once

#include <algorithm>
#include <cstddef>

#include "common/clock.hpp"

namespace muskrat {

class BatchSize {
 public:
  explicit BatchSize(size_t most) : most_(most), rows_(std::min<size_t>(64, most)) {}

  size_t rows() const { return rows_; }
  // A statement over rows() rows met so many.
  void took(milliseconds time, size_t met) {
    if (time > milliseconds(1000)) return failed();
    if (time < milliseconds(250) && met >= rows_) rows_ = std::min(rows_ * 2, most_);
  }
  void failed() { rows_ = std::max<size_t>(rows_ / 2, 1); }
  // Runs `act`, which returns how many rows it met, and learns from how it goes.
  template <typename Act>
  size_t run(Act act) {
    const auto began = std::chrono::steady_clock::now();
    size_t met = 0;
    try {
      met = act();
    } catch (...) {
      failed();
      throw;
    }
    took(std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began), met);
    return met;
  }

 private:
  size_t most_, rows_;
};

}  // namespace muskrat

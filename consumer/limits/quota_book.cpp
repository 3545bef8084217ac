#include "consumer/limits/quota_book.hpp"

#include <algorithm>

#include "common/log.hpp"

namespace muskrat::limits {
namespace {

constexpr milliseconds answer_span{5'000};

}  // namespace

template <typename Work>
void QuotaBook::with_store(const Work& work) {
  try {
    const Deadline deadline = Deadline::in(answer_span);
    if (!store_) store_ = state::open_store(consumer_, deadline);
    work(*store_, deadline);
  } catch (const Failure& failure) {
    store_.reset();
    throw Failure(Remedy::reconnect, quota_.text() + " cannot be counted: " + failure.what());
  }
}

void QuotaBook::look(int64_t now_us) {
  with_store([&](state::Store& store, Deadline deadline) { spent_ = store.spent(endpoint_, deadline); });
  out_from_us_ = now_us;
  out_until_us_ = quota_.opens_at(spent_, 1, now_us);
}

void QuotaBook::write(int64_t amount, int64_t now_us) {
  with_store([&](state::Store& store, Deadline deadline) {
    store.spend(endpoint_, {slot_us_, amount}, quota_.counts_from(now_us), deadline);
  });
  spent_.push_back({slot_us_, amount});
}

std::optional<int64_t> QuotaBook::take(int64_t n, int64_t now_us) {
  if (slot_us_ != quota_.slot_of(now_us)) give_back();
  slot_us_ = quota_.slot_of(now_us);
  if (left_ < n) {
    look(now_us);
    const int64_t missing = n - left_, limit = quota_.amount().count;
    const int64_t opens = quota_.opens_at(spent_, missing, now_us);
    if (opens > now_us) {
      out_from_us_ = now_us;
      out_until_us_ = opens;
      return opens;
    }
    const int64_t portion =
        std::min(std::max<int64_t>(1, limit / 1000), std::max<int64_t>(limit - quota_.used(spent_, now_us), 0));
    const int64_t more = std::max(missing, portion);
    write(more, now_us);
    left_ += more;
  }
  left_ -= n;
  return std::nullopt;
}

// A clock that was set back behind the moment of the answer makes it void.
std::optional<int64_t> QuotaBook::out_until(int64_t now_us) const {
  if (left_ > 0 || now_us >= out_until_us_ || now_us < out_from_us_) return std::nullopt;
  return out_until_us_;
}

void QuotaBook::give_back() {
  if (left_ == 0) return;
  try {
    write(-left_, slot_us_);
  } catch (const Failure& failure) {
    // it stays counted as used
    log::warning("consumer", "part of a quota was not given back",
                 {{"endpoint", endpoint_}, {"amount", left_}, {"why", failure.what()}});
  }
  left_ = 0;
}

}  // namespace muskrat::limits

// The count of an endpoint's quota, kept in the host's state database, so that a restart forgets nothing.
//
// Used by call_gate.cpp. It writes down portions (a thousandth of the quota, at least one call) before they are used,
// and gives back what is left of one at the end of its slot and at a clean stop: a host that is killed has counted at
// most one portion more than went, and never less. Hosts that share a database share the count.
// A database that cannot be reached is Failure{reconnect}: a quota that cannot be counted lets nothing through.
// Thread rule: one caller at a time (the gate's mutex); they may be different threads.
#pragma once

#include <memory>
#include <string>

#include "common/config.hpp"
#include "consumer/limits/quota.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::limits {

class QuotaBook {
 public:
  // `consumer` is the section of that name and outlives the book.
  QuotaBook(std::string endpoint, Quota quota, const Settings& consumer)
      : endpoint_(std::move(endpoint)), quota_(std::move(quota)), consumer_(consumer) {}
  ~QuotaBook() { give_back(); }
  QuotaBook(const QuotaBook&) = delete;
  QuotaBook& operator=(const QuotaBook&) = delete;

  const Quota& quota() const { return quota_; }
  // Reads the count. Wall time is handed in, here and below.
  void look(int64_t now_us);
  // Takes `n`; or says when they may be asked for again.
  std::optional<int64_t> take(int64_t n, int64_t now_us);
  // Until when nothing more goes, as far as is known; nullopt: something may.
  std::optional<int64_t> out_until(int64_t now_us) const;
  // What went, portions that are written down and not used yet excepted.
  int64_t used(int64_t now_us) const { return quota_.used(spent_, now_us) - left_; }
  void give_back();

 private:
  void write(int64_t amount, int64_t now_us);
  template <typename Work>
  void with_store(const Work& work);

  const std::string endpoint_;
  const Quota quota_;
  const Settings& consumer_;
  std::unique_ptr<state::Store> store_;
  std::vector<Spent> spent_;  // as read last, and written since
  int64_t left_ = 0;          // written down and not used
  int64_t slot_us_ = 0;       // in this slot
  int64_t out_from_us_ = 0, out_until_us_ = 0;
};

}  // namespace muskrat::limits

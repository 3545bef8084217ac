#include "consumer/retry.hpp"

#include <algorithm>
#include <utility>

namespace muskrat {

milliseconds retry_wait(unsigned attempts, milliseconds first, milliseconds most, double chance) {
  milliseconds step = first;
  for (unsigned i = 1; i < attempts && step < most; ++i) step *= 2;
  step = std::min(step, most);
  const auto half = step / 2;
  return half + milliseconds(static_cast<int64_t>(static_cast<double>((step - half).count()) * chance));
}

AttemptMemory::Entry AttemptMemory::recall(const std::string& message_id) const {
  const auto found = entries_.find(message_id);
  return found == entries_.end() ? Entry{} : found->second;
}

void AttemptMemory::remember(const std::string& message_id, Entry entry) {
  if (message_id.empty()) return;
  const auto [place, is_new] = entries_.insert_or_assign(message_id, std::move(entry));
  if (!is_new) return;
  order_.push_back(message_id);
  while (entries_.size() > most_) {
    entries_.erase(order_.front());
    order_.pop_front();
  }
}

void AttemptMemory::forget(const std::string& message_id) {
  if (entries_.empty() || entries_.erase(message_id) == 0) return;
  // few events fail: the scan is short, and the order stays exact
  order_.erase(std::find(order_.begin(), order_.end(), message_id));
}

}  // namespace muskrat

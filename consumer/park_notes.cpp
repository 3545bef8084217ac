#include "consumer/park_notes.hpp"

#include <utility>

#include "common/log.hpp"
#include "common/threads.hpp"

namespace muskrat {
namespace {

using std::chrono::steady_clock;

constexpr milliseconds look_every{1'000};
constexpr milliseconds say_again_every{10'000};
constexpr milliseconds answer_span{5'000};

}  // namespace

ParkNotes::ParkNotes(const Settings& consumer) : consumer_(consumer) {
  thread_ = std::thread([this] {
    name_this_thread("parked");
    while (!quit_.wait(look_every)) write();
  });
}

ParkNotes::~ParkNotes() {
  quit_.request();
  thread_.join();
  if (!failing_) try_to({}, false);
}

void ParkNotes::parked(const state::Parked& parked) {
  std::lock_guard lock(mutex_);
  parked_[parked.endpoint] = parked;
}

void ParkNotes::not_parked(const std::string& endpoint) {
  std::lock_guard lock(mutex_);
  parked_.erase(endpoint);
}

void ParkNotes::write() {
  std::map<std::string, state::Parked> parked;
  {
    std::lock_guard lock(mutex_);
    parked = parked_;
  }
  if (parked.empty() && written_.empty()) return;
  const bool again = steady_clock::now() - said_at_ > say_again_every;
  if (try_to(parked, again) && again) said_at_ = steady_clock::now();
}

bool ParkNotes::try_to(const std::map<std::string, state::Parked>& parked, bool again) {
  if (parked.empty() && written_.empty()) return true;
  try {
    const Deadline deadline = Deadline::in(answer_span);
    if (!store_) store_ = state::open_store(consumer_, deadline);
    for (auto it = written_.begin(); it != written_.end();) {
      if (parked.contains(it->first)) {
        ++it;
        continue;
      }
      store_->clear_parked(it->first, deadline);
      it = written_.erase(it);
    }
    for (const auto& [endpoint, what] : parked) {
      const auto known = written_.find(endpoint);
      if (!again && known != written_.end() && known->second == what.until_us) continue;
      state::Parked now = what;
      now.seen_us = wall_clock_us();
      store_->set_parked(now, deadline);
      written_[endpoint] = what.until_us;
    }
    failing_ = false;
    return true;
  } catch (const std::exception& error) {
    store_.reset();
    if (!std::exchange(failing_, true))
      log::warning("consumer", "parked endpoints cannot be noted for muskrat status",
                   {{"state", state::describe(consumer_)}, {"why", error.what()}});
    return false;
  }
}

}  // namespace muskrat

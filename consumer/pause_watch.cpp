#include "consumer/pause_watch.hpp"

#include <utility>

#include "common/log.hpp"
#include "common/threads.hpp"

namespace muskrat {
namespace {

constexpr milliseconds look_every{1'000};
constexpr milliseconds answer_span{5'000};

}  // namespace

PauseWatch::PauseWatch(const Settings& consumer) : consumer_(consumer) {
  look();
  thread_ = std::thread([this] {
    name_this_thread("pauses");
    while (!quit_.wait(look_every)) look();
  });
}

PauseWatch::~PauseWatch() {
  quit_.request();
  thread_.join();
}

std::optional<PauseWatch::Reason> PauseWatch::reason_to_wait(const std::string& endpoint) const {
  if (all_run_.load(std::memory_order_relaxed)) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (!known_) return Reason{false, "whether it is paused could not be read: " + unknown_why_};
  const auto pause = paused_.find(endpoint);
  if (pause == paused_.end()) return std::nullopt;
  return Reason{true, pause->second};
}

void PauseWatch::look() {
  try {
    found(read());
  } catch (const std::exception& error) {
    store_.reset();
    failed(error.what());
  }
}

std::vector<state::Pause> PauseWatch::read() {
  const Deadline deadline = Deadline::in(answer_span);
  if (!store_) store_ = state::find_store(consumer_, deadline);
  return store_ ? store_->pauses(deadline) : std::vector<state::Pause>{};
}

void PauseWatch::found(const std::vector<state::Pause>& pauses) {
  if (failing_) log::info("consumer", "pauses can be read again", {{"state", state::describe(consumer_)}});
  failing_ = false;
  std::lock_guard lock(mutex_);
  known_ = true;
  paused_.clear();
  for (const state::Pause& pause : pauses) paused_[pause.endpoint] = state::describe(pause);
  all_run_ = paused_.empty();
}

void PauseWatch::failed(const std::string& why) {
  std::lock_guard lock(mutex_);
  unknown_why_ = why;
  if (std::exchange(failing_, true)) return;
  log::warning("consumer", "pauses cannot be read",
               {{"state", state::describe(consumer_)},
                {"why", why},
                {"meanwhile", known_ ? "paused endpoints stay paused, the others go on" : "no endpoint consumes"}});
}

}  // namespace muskrat

#include "consumer/superseded_log.hpp"

#include <utility>
#include <vector>

#include "common/log.hpp"
#include "common/threads.hpp"

namespace muskrat {
namespace {

constexpr milliseconds write_every{1'000};
constexpr milliseconds answer_span{5'000};

void trim(std::deque<state::Superseded>& events) {
  while (events.size() > state::Store::superseded_most) events.pop_front();
}

}  // namespace

SupersededLog::SupersededLog(const Settings& consumer) : consumer_(consumer) {
  thread_ = std::thread([this] {
    name_this_thread("superseded");
    run();
  });
}

SupersededLog::~SupersededLog() {
  quit_.request();
  thread_.join();
}

void SupersededLog::note(const std::string& endpoint, state::Superseded event) {
  std::lock_guard lock(mutex_);
  auto& events = waiting_[endpoint];
  events.push_back(std::move(event));
  trim(events);
}

void SupersededLog::run() {
  while (!quit_.wait(write_every)) write();
  write();
}

void SupersededLog::write() {
  Waiting waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  try {
    while (!waiting.empty()) {
      const auto& [endpoint, events] = *waiting.begin();
      if (!store_) store_ = state::open_store(consumer_, Deadline::in(answer_span));
      const std::vector<state::Superseded> batch(events.begin(), events.end());
      store_->log_superseded(endpoint, batch, Deadline::in(answer_span));
      waiting.erase(waiting.begin());
      if (std::exchange(failing_, false))
        log::info("consumer", "superseded events are written again", {{"state", state::describe(consumer_)}});
    }
  } catch (const std::exception& error) {
    store_.reset();
    put_back(waiting);
    if (std::exchange(failing_, true)) return;
    log::warning("consumer", "superseded events cannot be written",
                 {{"state", state::describe(consumer_)},
                  {"why", error.what()},
                  {"meanwhile", "they are counted, and the newest wait to be written"}});
  }
}

void SupersededLog::put_back(const Waiting& unwritten) {
  std::lock_guard lock(mutex_);
  for (const auto& [endpoint, events] : unwritten) {
    auto& now = waiting_[endpoint];
    now.insert(now.begin(), events.begin(), events.end());
    trim(now);
  }
}

}  // namespace muskrat

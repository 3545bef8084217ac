#include "consumer/park_notes.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "common/log.hpp"
#include "common/threads.hpp"
#include "consumer/park.hpp"

namespace muskrat {
namespace {

using std::chrono::steady_clock;

constexpr milliseconds look_every{1'000};
constexpr milliseconds say_again_every{10'000};
constexpr milliseconds answer_span{5'000};
constexpr std::string_view asked = park_reasons[static_cast<size_t>(ParkReason::asked)];

int64_t us(SteadyTime::duration span) { return std::chrono::duration_cast<std::chrono::microseconds>(span).count(); }

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
  // nobody is there any more who could say so, and `muskrat status` need not believe it
  if (!failing_) try_to(parked_, true, -wall_clock_us());
}

void ParkNotes::parked(const state::Parked& parked) {
  std::lock_guard lock(mutex_);
  taken_out_.erase(parked.endpoint);
  const auto left = std::chrono::microseconds(parked.until_us - wall_clock_us());
  parked_[parked.endpoint] = {parked, steady_clock::now() + left};
}

void ParkNotes::not_parked(const std::string& endpoint) {
  std::lock_guard lock(mutex_);
  parked_.erase(endpoint);
  found_.erase(endpoint);
}

bool ParkNotes::taken_out(const std::string& endpoint) {
  std::lock_guard lock(mutex_);
  return taken_out_.erase(endpoint) > 0;
}

std::optional<state::Parked> ParkNotes::asked_before(const std::string& endpoint) {
  const Deadline deadline = Deadline::in(answer_span);
  const auto store = state::find_store(consumer_, deadline);
  if (!store) return std::nullopt;
  const int64_t now_us = wall_clock_us();
  for (state::Parked& note : store->parked(deadline)) {
    if (note.endpoint != endpoint || note.reason != asked || note.until_us <= now_us) continue;
    // Where the clock has been put back since, what was left when it was written is the longest that can be left.
    if (const int64_t seen_us = std::abs(note.seen_us); seen_us > 0)
      note.until_us = std::min(note.until_us, now_us + std::max<int64_t>(note.until_us - seen_us, 0));
    std::lock_guard lock(mutex_);
    found_.insert(endpoint);
    return std::move(note);
  }
  return std::nullopt;
}

void ParkNotes::write() {
  ByEndpoint parked;
  {
    std::lock_guard lock(mutex_);
    parked = parked_;
  }
  const bool again = steady_clock::now() - said_at_ > say_again_every;
  if (try_to(std::move(parked), again, wall_clock_us()) && again) said_at_ = steady_clock::now();
}

bool ParkNotes::try_to(ByEndpoint parked, bool again, int64_t seen_us) {
  if (parked.empty() && written_.empty()) return true;
  try {
    const Deadline deadline = Deadline::in(answer_span);
    if (!store_) store_ = state::open_store(consumer_, deadline);
    find_taken_out(parked, deadline);
    clear_ended(parked, deadline);
    for (auto& [endpoint, rest] : parked) {
      const auto known = written_.find(endpoint);
      if (!again && known != written_.end() && known->second == rest.until) continue;
      // By the clock as it is now, which may have been set since.
      rest.note.until_us = wall_clock_us() + us(rest.until - steady_clock::now());
      rest.note.seen_us = seen_us;
      store_->set_parked(rest.note, deadline);
      written_[endpoint] = rest.until;
    }
    failing_ = false;
    return true;
  } catch (const std::exception& error) {
    store_.reset();
    if (!std::exchange(failing_, true))
      log::warning("consumer", "parked endpoints cannot be noted",
                   {{"state", state::describe(consumer_)}, {"why", error.what()}});
    return false;
  }
}

// Only what an endpoint asked for: the other parks end by themselves as soon as they may.
void ParkNotes::find_taken_out(ByEndpoint& parked, Deadline deadline) {
  std::set<std::string> stood;
  {
    std::lock_guard lock(mutex_);
    stood = found_;
  }
  const auto may_be_gone = [&](const auto& rest) {
    return rest.second.note.reason == asked && (stood.contains(rest.first) || written_.contains(rest.first));
  };
  if (std::none_of(parked.begin(), parked.end(), may_be_gone)) return;
  const auto stored = store_->parked(deadline);
  for (auto it = parked.begin(); it != parked.end();) {
    const auto stands = [&](const state::Parked& note) { return note.endpoint == it->first; };
    if (!may_be_gone(*it) || std::any_of(stored.begin(), stored.end(), stands)) {
      ++it;
      continue;
    }
    written_.erase(it->first);
    std::lock_guard lock(mutex_);
    parked_.erase(it->first);
    found_.erase(it->first);
    taken_out_.insert(it->first);
    it = parked.erase(it);
  }
}

void ParkNotes::clear_ended(const ByEndpoint& parked, Deadline deadline) {
  for (auto it = written_.begin(); it != written_.end();) {
    if (parked.contains(it->first)) {
      ++it;
      continue;
    }
    store_->clear_parked(it->first, deadline);
    it = written_.erase(it);
  }
}

}  // namespace muskrat

#include "consumer/park_notes.hpp"

#include <algorithm>
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
  // seen never: nobody is there any more who could say so, and `muskrat status` need not believe it
  if (!failing_) try_to(parked_, true, 0);
}

void ParkNotes::parked(const state::Parked& parked) {
  std::lock_guard lock(mutex_);
  taken_out_.erase(parked.endpoint);
  parked_[parked.endpoint] = parked;
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
  for (state::Parked& note : store->parked(deadline)) {
    if (note.endpoint != endpoint || note.reason != asked || note.until_us <= wall_clock_us()) continue;
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
    for (auto& [endpoint, note] : parked) {
      const auto known = written_.find(endpoint);
      if (!again && known != written_.end() && known->second == note.until_us) continue;
      note.seen_us = seen_us;
      store_->set_parked(note, deadline);
      written_[endpoint] = note.until_us;
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
  const auto may_be_gone = [&](const auto& note) {
    return note.second.reason == asked && (stood.contains(note.first) || written_.contains(note.first));
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

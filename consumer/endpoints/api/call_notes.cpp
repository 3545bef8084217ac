#include "consumer/endpoints/api/call_notes.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "consumer/endpoints/api/shared.hpp"

namespace muskrat::api {
namespace {

constexpr milliseconds patience{10'000};
constexpr milliseconds longest{std::chrono::hours(7 * 24)};  // whatever a clock that was set says

}  // namespace

CallNotes::CallNotes(std::string place) : place_(std::move(place)), known_(shared_by<Known>(place_)) {}

void CallNotes::open(const Settings* consumer, Deadline deadline) {
  store_.reset();
  if (consumer != nullptr) store_ = state::open_store(*consumer, deadline);
}

void CallNotes::read(const std::function<void(const std::string&, const std::string&, milliseconds)>& take) {
  if (!store_) return;
  std::lock_guard lock(known_->mutex);
  const int64_t now_us = wall_clock_us();
  std::set<std::string> others;
  for (const auto& listed : store_->calls(place_, Deadline::in(patience))) {
    const auto left = std::chrono::ceil<milliseconds>(std::chrono::microseconds(listed.until_us - now_us));
    if (left.count() <= 0) {
      store_->forget_call(place_, listed.id, Deadline::in(patience));
      known_->own.erase(listed.id);
    } else if (!known_->own.contains(listed.id)) {
      others.insert(listed.id);
      if (known_->others.contains(listed.id)) continue;
      if (const auto call = store_->call(place_, listed.id, Deadline::in(patience)))
        take(listed.id, call->text, std::min(left, longest));
    }
  }
  known_->others = std::move(others);
}

void CallNotes::write(const std::string& id, const std::string& text, milliseconds span) {
  if (!store_) return;
  {
    std::lock_guard lock(known_->mutex);
    known_->own.insert(id);
  }
  const int64_t until_us = wall_clock_us() + std::chrono::microseconds(span).count();
  store_->note_call(place_, {id, until_us, text}, Deadline::in(patience));
}

void CallNotes::forget(const std::string& id) {
  if (!store_) return;
  store_->forget_call(place_, id, Deadline::in(patience));
  std::lock_guard lock(known_->mutex);
  known_->own.erase(id);
}

std::string CallNotes::new_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += std::to_string(random()) + (i < 3 ? "-" : "");
  return id;
}

}  // namespace muskrat::api

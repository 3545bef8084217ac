#include "consumer/endpoints/api/keys_in_use.hpp"

#include <algorithm>

#include "common/digest.hpp"
#include "common/log.hpp"

namespace muskrat::api {
namespace {

constexpr milliseconds held_look{10'000};   // what waits for a held key asks again
constexpr milliseconds sweep_every{1'000};  // a bulk job's keys are thousands

}  // namespace

bool KeysInUse::take(const std::string& key) {
  std::lock_guard lock(mutex_);
  const SteadyTime now = std::chrono::steady_clock::now();
  if (now - swept_ > sweep_every) {
    std::erase_if(ending_, [&](const auto& one) { return one.second <= now; });
    swept_ = now;
  }
  const auto ends = ending_.find(key);
  const bool rests = ends != ending_.end() && ends->second > now;
  return !held_.contains(key) && !rests && taken_.insert(key).second;
}

milliseconds KeysInUse::taken_for(const std::string& key) {
  std::lock_guard lock(mutex_);
  if (held_.contains(key)) return held_look;
  const auto found = ending_.find(key);
  if (found == ending_.end()) return milliseconds(0);
  const auto left = found->second - std::chrono::steady_clock::now();
  return std::max(std::chrono::ceil<milliseconds>(left), milliseconds(0));
}

void KeysInUse::give_back(const std::string& key, SteadyTime free_at) {
  std::lock_guard lock(mutex_);
  taken_.erase(key);
  if (free_at > std::chrono::steady_clock::now()) ending_[key] = free_at;
}

void KeysInUse::rest(const std::string& key, SteadyTime free_at) {
  std::lock_guard lock(mutex_);
  ending_[key] = std::max(ending_[key], free_at);
}

void KeysInUse::hold(const std::string& key) {
  std::lock_guard lock(mutex_);
  held_.insert(key);
}

void KeysInUse::let_go(const std::string& key, SteadyTime free_at) {
  std::lock_guard lock(mutex_);
  held_.erase(key);
  ending_[key] = std::max(ending_[key], free_at);
}

HeldKeys::~HeldKeys() { give_back(); }

void HeldKeys::give_back() {
  for (const std::string& key : held_) keys_.give_back(key, common_.contains(key) ? SteadyTime{} : free_at_);
  try {
    end_note();
  } catch (const std::exception& error) {
    // it stands until its time is over, and keeps the keys of a later life waiting
    log::warning("consumer", "a note of a call that is over stays", {{"why", error.what()}});
  }
  held_.clear();
  common_.clear();
}

void HeldKeys::note(milliseconds span) {
  if (notes_ == nullptr) return;
  const SteadyTime until = std::chrono::steady_clock::now() + span;
  if (until - noted_until_ < span / 10) return;  // calls in quick succession are one
  if (note_.empty()) note_ = CallNotes::new_id();
  notes_->write(note_, keys_text(held_), span);
  noted_until_ = until;
}

void HeldKeys::end_note() {
  if (note_.empty()) return;
  const auto left = std::chrono::ceil<milliseconds>(free_at_ - std::chrono::steady_clock::now());
  if (left.count() > 0)
    notes_->write(note_, keys_text(held_), left);
  else
    notes_->forget(note_);
  note_.clear();
}

bool HeldKeys::add(const std::string& key) {
  if (!keys_.take(key)) return false;
  held_.insert(key);
  return true;
}

bool HeldKeys::add(const std::string& own, const std::vector<std::string>& common) {
  std::vector<std::string> added;
  const auto take = [&](const std::string& key) {
    if (!add(key)) return false;
    added.push_back(key);
    return true;
  };
  bool taken = take(own);
  for (size_t i = 0; taken && i < common.size(); ++i) taken = holds(common[i]) || take(common[i]);
  if (taken) return common_.insert(common.begin(), common.end()), true;
  for (const std::string& key : added) {
    keys_.give_back(key, {});
    held_.erase(key);
  }
  return false;
}

void HeldKeys::may_run_until(SteadyTime instant) { free_at_ = std::max(free_at_, instant); }

std::string keys_text(const std::set<std::string>& keys) {
  return json::Object().add("keys", std::vector<std::string>(keys.begin(), keys.end())).text();
}

std::vector<std::string> keys_in(const json::Value& note) {
  std::vector<std::string> keys;
  const auto list = note.type() == json::Type::object ? note.find("keys") : std::nullopt;
  if (!list || list->type() != json::Type::array) return keys;
  for (size_t i = 0; i < list->size(); ++i)
    if (list->at(i).type() == json::Type::string) keys.emplace_back(list->at(i).string());
  return keys;
}

std::string key_digest(const std::string& key) { return hex(sha256(key).substr(0, 16)); }

}  // namespace muskrat::api

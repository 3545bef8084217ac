// The keys of records that calls are under way for, so that no two concurrent calls carry one key.
//
// Used by endpoint kinds whose API makes duplicates of concurrent upserts (marketo); one for all lanes, and for all
// endpoints of one API. Of a call that got no answer nobody knows when it ends at the other side: its keys stay taken
// until it must have ended. Thread rule: any thread. What it does not do: wait.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/clock.hpp"

namespace muskrat::api {

class KeysInUse {
 public:
  // False where it is taken.
  bool take(const std::string& key);
  // Free at `free_at`; at once when that is past.
  void give_back(const std::string& key, SteadyTime free_at);

 private:
  std::mutex mutex_;
  std::set<std::string> taken_;
  std::map<std::string, SteadyTime> ending_;
};

// The keys of one call, given back when it is over.
class HeldKeys {
 public:
  explicit HeldKeys(KeysInUse& keys) : keys_(keys) {}
  ~HeldKeys();
  HeldKeys(const HeldKeys&) = delete;
  HeldKeys& operator=(const HeldKeys&) = delete;

  bool add(const std::string& key);
  // A call with them may go on at the other side until then.
  void may_run_until(SteadyTime instant);

 private:
  KeysInUse& keys_;
  std::vector<std::string> held_;
  SteadyTime free_at_{};
};

}  // namespace muskrat::api

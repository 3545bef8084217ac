// The keys of records that calls are under way for, so that no two concurrent calls carry one key.
//
// Used by endpoint kinds whose API makes duplicates of concurrent upserts (marketo), or lets them overtake and lock
// each other out (salesforce); one for all lanes, and for all endpoints of one API. Of a call that got no answer nobody
// knows when it ends at the other side: its keys stay taken until it must have ended. So do, where calls are noted
// (call_notes.hpp), those of a host that was killed. Thread rule: any thread; HeldKeys: the lane's. What it does not
// do: wait.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/json.hpp"
#include "consumer/endpoints/api/call_notes.hpp"

namespace muskrat::api {

class KeysInUse {
 public:
  // False where it is taken.
  bool take(const std::string& key);
  // For how long it stays taken at least; 0 where that is not known, or it is free.
  milliseconds taken_for(const std::string& key);
  // Free at `free_at`; at once when that is past.
  void give_back(const std::string& key, SteadyTime free_at);
  // A call that was noted elsewhere has it.
  void rest(const std::string& key, SteadyTime free_at);
  // Taken until let_go(), however long that is: somebody asks for the call's end.
  void hold(const std::string& key);
  void let_go(const std::string& key, SteadyTime free_at);

 private:
  std::mutex mutex_;
  std::set<std::string> taken_, held_;
  std::map<std::string, SteadyTime> ending_;
  SteadyTime swept_{};
};

// The keys of one call, given back when it is over.
class HeldKeys {
 public:
  // With `notes`, which outlive it, calls can be noted.
  explicit HeldKeys(KeysInUse& keys, CallNotes* notes = nullptr) : keys_(keys), notes_(notes) {}
  ~HeldKeys();
  HeldKeys(const HeldKeys&) = delete;
  HeldKeys& operator=(const HeldKeys&) = delete;

  bool add(const std::string& key);
  // A record's own key, and keys that several records of one call may have, such as their parents: these are free as
  // soon as nobody waits for the call any more. All or nothing.
  bool add(const std::string& own, const std::vector<std::string>& common);
  // To be called before a call: it may go on at the other side for so long, should this process be killed.
  void note(milliseconds span);
  // What was noted is over, or has a note of its own; the keys stay.
  void end_note();
  // A call with the records' own keys may go on at the other side until then.
  void may_run_until(SteadyTime instant);

  // Before its end.
  void give_back();

  bool holds(const std::string& key) const { return held_.contains(key); }

 private:
  KeysInUse& keys_;
  CallNotes* const notes_;
  std::string note_;  // its id
  std::set<std::string> held_, common_;
  SteadyTime noted_until_{}, free_at_{};
};

// What a note says of keys, and what becomes of them.
std::string keys_text(const std::set<std::string>& keys);
std::vector<std::string> keys_in(const json::Value& note);
// A key that tells nothing of what is in it, for a note.
std::string key_digest(const std::string& key);

}  // namespace muskrat::api

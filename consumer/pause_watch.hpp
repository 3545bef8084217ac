// Which endpoints an operator has paused: what the state database says, looked at about once a second.
//
// Used by consumer/consumer.cpp (one for all hosts of the process) and asked by each host (consumer/host.cpp); written
// by `muskrat pause` and `muskrat resume` through state/store.hpp. It looks on a thread of its own, so that a state
// database that hangs holds up no delivery. One that cannot be read leaves paused what was paused and running what was
// running, and is logged once. Before it could be read for the first time nothing may consume: an endpoint that was
// paused before a restart must not run because its pause could not be found.
// Thread rule: reason_to_wait() from any thread.
// What it does not do: make a state file where there is none (then nobody has paused anything), or pause.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/config.hpp"
#include "common/stop.hpp"
#include "consumer/state/store.hpp"

namespace muskrat {

class PauseWatch {
 public:
  // Looks once before it returns. `consumer` is the section of that name and outlives the watch.
  explicit PauseWatch(const Settings& consumer);
  ~PauseWatch();
  PauseWatch(const PauseWatch&) = delete;
  PauseWatch& operator=(const PauseWatch&) = delete;

  struct Reason {
    bool paused = false;  // false: it is not known yet whether it is
    std::string text;     // since when, by whom, why; or what kept us from knowing
  };
  // Why the endpoint must not consume now; nullopt when it may. Cheap while nobody is paused.
  std::optional<Reason> reason_to_wait(const std::string& endpoint) const;

 private:
  void look();
  std::vector<state::Pause> read();
  void found(const std::vector<state::Pause>& pauses);
  void failed(const std::string& why);

  const Settings& consumer_;
  std::unique_ptr<state::Store> store_;  // of whoever looks: the constructor, then the thread
  bool failing_ = false;                 // the same

  std::atomic<bool> all_run_{false};
  mutable std::mutex mutex_;
  bool known_ = false;
  std::string unknown_why_;
  std::map<std::string, std::string> paused_;  // endpoint → since, by, why

  Stop quit_;
  std::thread thread_;
};

}  // namespace muskrat

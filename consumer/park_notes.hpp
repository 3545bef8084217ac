// What `muskrat status` shall know of parked endpoints: written into the host's state database.
//
// Used by consumer/consumer.cpp (one for all hosts of the process) and each host (consumer/host_parking.cpp); read by
// cli/status_collect.cpp. It writes on a thread of its own, so that a state database that hangs holds up no host, and
// says so again every few seconds: what nobody repeats is not believed for long (a host that was killed). A park that
// ends within a second or two is never written. A database that cannot be written is logged once, and is no harm.
// Thread rule: parked() and not_parked() from any thread.
// What it does not do: park, or remember over a restart; a host that starts asks the endpoint anew.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/config.hpp"
#include "common/stop.hpp"
#include "consumer/state/store.hpp"

namespace muskrat {

class ParkNotes {
 public:
  // `consumer` is the section of that name and outlives the notes.
  explicit ParkNotes(const Settings& consumer);
  ~ParkNotes();  // takes back what was written
  ParkNotes(const ParkNotes&) = delete;
  ParkNotes& operator=(const ParkNotes&) = delete;

  void parked(const state::Parked& parked);
  void not_parked(const std::string& endpoint);

 private:
  void write();
  bool try_to(const std::map<std::string, state::Parked>& parked, bool again);

  const Settings& consumer_;
  std::mutex mutex_;
  std::map<std::string, state::Parked> parked_;  // by endpoint

  // of whoever writes: the thread, then the destructor
  std::unique_ptr<state::Store> store_;
  std::map<std::string, int64_t> written_;  // endpoint → until when
  SteadyTime said_at_{};
  bool failing_ = false;

  Stop quit_;
  std::thread thread_;
};

}  // namespace muskrat

// What `muskrat status` and a later life of the host shall know of parked endpoints: kept in the host's state database.
//
// Used by consumer/consumer.cpp (one for all hosts of the process) and each host (consumer/host_parking.cpp); read by
// cli/status_collect.cpp. It writes on a thread of its own, so that a state database that hangs holds up no host, and
// says so again every few seconds: what nobody repeats is not believed for long (a host that was killed). A park that
// ends within a second or two is never written. A database that cannot be written is logged once, and is no harm.
// What an endpoint asked for itself (a quota that its API says is used up) outlives the host: the next one reads it and
// makes no call before its time. Whoever knows better takes it out of the database (`muskrat resume`); a running host
// finds that out within a few seconds.
// Thread rule: every member but the destructor from any thread.
// What it does not do: park.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
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
  ~ParkNotes();  // takes back what was written, but for what stays parked
  ParkNotes(const ParkNotes&) = delete;
  ParkNotes& operator=(const ParkNotes&) = delete;

  void parked(const state::Parked& parked);  // `seen_us` is not looked at
  void not_parked(const std::string& endpoint);
  // True once after somebody has taken out the note of an endpoint that is parked.
  bool taken_out(const std::string& endpoint);

  // What the endpoint asked for in an earlier life, while its time has not come; `until_us` is no further off than it
  // was when that life last wrote it, whatever clock it went by. Failure when it cannot be read.
  std::optional<state::Parked> asked_before(const std::string& endpoint);

 private:
  struct Rest {
    state::Parked note;
    SteadyTime until;  // what holds: wall time may be set meanwhile
  };
  using ByEndpoint = std::map<std::string, Rest>;

  void write();
  bool try_to(ByEndpoint parked, bool again, int64_t seen_us);
  void find_taken_out(ByEndpoint& parked, Deadline deadline);
  void clear_ended(const ByEndpoint& parked, Deadline deadline);

  const Settings& consumer_;
  std::mutex mutex_;
  ByEndpoint parked_;
  std::set<std::string> found_;  // endpoints whose notes of an earlier life stand
  std::set<std::string> taken_out_;

  // of whoever writes: the thread, then the destructor
  std::unique_ptr<state::Store> store_;
  std::map<std::string, SteadyTime> written_;  // endpoint → until when
  SteadyTime said_at_{};
  bool failing_ = false;

  Stop quit_;
  std::thread thread_;
};

}  // namespace muskrat

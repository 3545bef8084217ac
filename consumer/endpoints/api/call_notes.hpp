// What a process has under way at an API, noted in the host's state database: of a host that is killed the next one
// then knows what may go on there.
//
// Used by endpoint kinds whose calls must not meet an earlier one that still runs (marketo), through
// api/keys_in_use.hpp and by themselves for jobs. One for each lane; those of one place (an API as the kind tells them
// apart) share what they know, over all lanes and endpoints of the process. A state database that cannot be reached is
// Failure{reconnect}: a call that cannot be noted is not made. Thread rule: the lane's. What it does not do: know what
// a note means.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "common/options.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::api {

class CallNotes {
 public:
  explicit CallNotes(std::string place);

  // `consumer` is the section of that name, and outlives this; null: nothing is noted. For connect().
  void open(const Settings* consumer, Deadline deadline);
  // Hands out what others have noted, each note once in this process: `text`, and how long it holds. Whoever else calls
  // waits until that is done.
  void read(const std::function<void(const std::string& id, const std::string& text, milliseconds left)>& take);
  void write(const std::string& id, const std::string& text, milliseconds span);
  void forget(const std::string& id);
  // An id for a note.
  static std::string new_id();

 private:
  struct Known {
    std::mutex mutex;
    std::set<std::string> own, others;  // ids: noted by this process, and read by it
  };

  const std::string place_;
  const std::shared_ptr<Known> known_;
  std::unique_ptr<state::Store> store_;
};

}  // namespace muskrat::api

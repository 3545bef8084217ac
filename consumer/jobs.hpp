// Long work that endpoints have handed to their servers as one job, for the status page and `muskrat status`.
//
// Used by endpoint kinds with jobs (salesforce, marketo), which say what they have begun and what they hear of it; by
// the host, for its row of the status page; written for cli/status_collect.cpp to the host's state database. One for
// the process, made by consumer/consumer.cpp. It writes on a thread of its own, as park_notes.hpp does: a state
// database that hangs holds up no endpoint, and what nobody repeats (its host was killed) is not believed for long.
// Thread rule: any thread; read_jobs(): the store's. What it does not do: know an API, or decide when a job is over.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/options.hpp"
#include "common/stop.hpp"
#include "consumer/state/store.hpp"

namespace muskrat {

struct Job {
  std::string id;    // as the server names it
  std::string what;  // "bulk import"
  size_t records = 0;
  int64_t since_us = 0;  // wall time: when it was begun
  std::string state;     // in the server's words
  int64_t heard_us = 0;  // wall time: when the server last said so
};

class Jobs {
 public:
  // `consumer` is the section of that name and outlives this.
  explicit Jobs(const Settings& consumer);
  ~Jobs();  // takes back what was written
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  // Heard of just now; begun or known already.
  void set(const std::string& endpoint, Job job);
  void end(const std::string& endpoint, const std::string& id);
  // The oldest first.
  std::vector<Job> of(const std::string& endpoint) const;

 private:
  using Key = std::pair<std::string, std::string>;  // endpoint, id

  void write();
  void try_to(const std::map<Key, Job>& jobs, bool again);

  const Settings& consumer_;
  mutable std::mutex mutex_;
  std::map<Key, Job> jobs_;
  std::set<Key> ended_;  // may be written still, by an earlier life too

  // of whoever writes: the thread, then the destructor
  std::unique_ptr<state::Store> store_;
  std::map<Key, std::string> written_;
  SteadyTime said_at_{};
  bool failing_ = false;

  Stop quit_;
  std::thread thread_;
};

// One job while somebody waits for it: listed from its first state on, and no more when that ends.
class JobListing {
 public:
  JobListing(Jobs* jobs, std::string endpoint, std::string what, size_t records);  // without jobs it does nothing
  ~JobListing();
  JobListing(const JobListing&) = delete;
  JobListing& operator=(const JobListing&) = delete;
  void heard(const std::string& id, const std::string& state);

 private:
  Jobs* const jobs_;
  const std::string endpoint_;
  Job job_;
};

// What hosts say is under way now, by endpoint.
std::map<std::string, std::vector<Job>> read_jobs(state::Store& store, Deadline deadline);

// "500 records, Importing, since 2026-11-25T12:00:00Z"
std::string describe(const Job& job);

}  // namespace muskrat

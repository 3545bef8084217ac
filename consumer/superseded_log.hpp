// Which events were passed over because newer state was in place: noted by the hosts, written to the state database.
//
// Used by consumer/host_events.cpp for every kind of endpoint; read by `muskrat superseded`. One for all hosts of the
// process. It writes on a thread of its own, about once a second, so that a state database that hangs holds up no
// delivery: what cannot be written waits, the newest of each endpoint, as many as the database keeps. It is a record
// for people, not a guarantee: what was noted in the last second before a kill -9 is lost; the metric counts them all.
// Thread rule: note() from any thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/config.hpp"
#include "common/stop.hpp"
#include "consumer/state/store.hpp"

namespace muskrat {

class SupersededLog {
 public:
  // `consumer` is the section of that name and outlives the log.
  explicit SupersededLog(const Settings& consumer);
  ~SupersededLog();  // writes what waits, if that goes quickly
  SupersededLog(const SupersededLog&) = delete;
  SupersededLog& operator=(const SupersededLog&) = delete;

  void note(const std::string& endpoint, state::Superseded event);

 private:
  using Waiting = std::map<std::string, std::deque<state::Superseded>>;
  void run();
  void write();
  void put_back(const Waiting& unwritten);

  const Settings& consumer_;
  std::unique_ptr<state::Store> store_;  // of the log's own thread
  bool failing_ = false;

  std::mutex mutex_;
  Waiting waiting_;  // by endpoint
  Stop quit_;
  std::thread thread_;
};

}  // namespace muskrat

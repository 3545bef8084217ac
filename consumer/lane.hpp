// A lane: one thread with an Endpoint of its own, doing one thing at a time for the host.
//
// Used by consumer/host.cpp. The host says connect() or deliver() and gets exactly one Report for each through its
// mailbox; while one is under way the lane is busy. A connection to the endpoint that was lost is opened anew before
// the next delivery. When nothing was asked for a while, the endpoint's idle() is called. Thread rule: all members from
// the host's thread; the Endpoint is made, used and destroyed on the lane's own. What it does not do: wait, retry or
// judge: that is the host's.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "consumer/endpoints.hpp"
#include "consumer/limits/call_gate.hpp"
#include "consumer/mailbox.hpp"

namespace muskrat {

class Lane {
 public:
  Lane(unsigned index, const EndpointKind& kind, const Component& component, const Settings& consumer,
       milliseconds timeout, CallGate& gate, Jobs& jobs, Mailbox& mailbox);
  ~Lane();  // waits for what is under way, then says goodbye to the endpoint
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void connect();
  void deliver(std::vector<const Event*> batch);  // the events outlive the report

 private:
  struct Task {
    bool quit = false;
    std::vector<const Event*> batch;  // empty: connect
  };
  void give(Task task);
  std::optional<Task> next_task();  // nullopt: nothing for a while
  void run();
  Report perform(const Task& task);
  void ensure_connected(Deadline deadline);
  void rest();

  const unsigned index_;
  const EndpointKind& kind_;
  const Component& component_;
  const Settings& consumer_;
  const milliseconds timeout_;
  CallGate& gate_;
  Jobs& jobs_;
  Mailbox& mailbox_;
  std::unique_ptr<Endpoint> endpoint_;
  bool connected_ = false, rested_ = true;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<Task> task_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace muskrat

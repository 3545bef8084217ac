// Dead letters of a transient class, sent to their endpoint again on a schedule (dead_retry_every, dead_retry_times).
//
// Used by consumer/host.cpp, one per endpoint that asks for it; an operator's `muskrat dead retry` is
// cli/dead_retry.cpp. Now and then it looks through the dead letters, gives them back, and sends those that are due
// (due_letters.hpp) to the endpoint's queue, one at a time: confirmed, then acknowledged. While somebody else is at the
// letters it lets the turn pass. What it sends says in x-muskrat-dead-retries how often that was. The endpoint's guard
// decides about newer state, and held_keys.hpp keeps a held key's order, as for any other late event. Reading and
// publishing have a connection each, open only while there is something to do. The host's user on the broker needs
// write on amq.default for it. Thread rule: works on a thread of its own.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <unordered_set>

#include "common/amqp.hpp"
#include "common/metrics.hpp"
#include "common/stop.hpp"
#include "common/topology.hpp"
#include "consumer/due_letters.hpp"

namespace muskrat {

class DeadRetrier {
 public:
  DeadRetrier(std::function<amqp::Address()> broker, const Topology& topology, std::string endpoint, RetryPlan plan);
  ~DeadRetrier();
  DeadRetrier(const DeadRetrier&) = delete;
  DeadRetrier& operator=(const DeadRetrier&) = delete;

 private:
  void run();
  void turn();
  amqp::Connection connect(const char* what);
  uint32_t begin(amqp::Connection& reader);
  std::unordered_set<std::string> look(amqp::Connection& reader, uint32_t letters);
  size_t send(amqp::Connection& reader, uint32_t letters, const std::unordered_set<std::string>& due);

  const std::function<amqp::Address()> broker_;
  const std::string endpoint_, queue_, dead_queue_;
  const RetryPlan plan_;
  metrics::Counter& sent_;
  Stop quit_;
  std::thread thread_;
};

}  // namespace muskrat

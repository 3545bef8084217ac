// What `muskrat status` finds out: sources as their databases tell, queues as the broker does, pauses and parked
// endpoints as the host's state database does, and jobs too.
//
// Used by status.cpp, which shows it. collect() asks each server once, within
// its deadlines; one that does not answer is a problem and not an exception.
// Thread rule: the main thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/stop.hpp"
#include "consumer/jobs.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::cli {

struct SourceItem {
  std::string item, value, problem;  // a row of muskrat.status()
};

struct SourceStatus {
  std::string name, kind, place;
  std::string problem;  // it could not be asked
  std::vector<SourceItem> items;
};

struct QueueStatus {
  std::string endpoint, queue;
  std::optional<uint32_t> messages, consumers, dead;  // nullopt: there is no such queue
  std::optional<state::Pause> paused;                 // by an operator: no problem
  std::optional<state::Parked> parked;                // by its host, for now
  std::vector<Job> jobs;                              // under way at the endpoint's server
  std::string problem;
};

struct Status {
  std::vector<SourceStatus> sources;
  std::string broker;          // "RabbitMQ 3.10.8 at host:5672 vhost /"
  std::string broker_problem;  // it could not be asked
  std::vector<QueueStatus> queues;
  std::optional<uint32_t> unrouted;
  std::string unrouted_problem;
  std::string state;          // where the host's state is, and with it who is paused
  std::string state_problem;  // it could not be asked

  size_t problems() const;
};

Status collect_status(const Config& config, const Stop& stop);

}  // namespace muskrat::cli

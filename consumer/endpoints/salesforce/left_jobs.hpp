// Bulk jobs that nobody waits for any more, and of which Salesforce has not said that they are aborted: what they hold
// may still be written, minutes later. Until one is seen to be over its records' keys stay taken, else it would write
// an older state over a newer one.
//
// One for all lanes and endpoints of one login; used by salesforce/endpoint.cpp, whose deliveries look at them. Thread
// rule: any thread. What it does not do: outlive the process.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "consumer/endpoints/api/keys_in_use.hpp"
#include "consumer/endpoints/salesforce/calls.hpp"
#include "consumer/jobs.hpp"

namespace muskrat::salesforce {

struct LeftJob {
  std::string endpoint;
  std::string path;  // without the instance's address
  std::string id;
  std::vector<std::string> keys;
  std::shared_ptr<JobListing> listing;  // it is listed for as long
  milliseconds pause{0};                // between looks
  SteadyTime due{};
};

class LeftJobs {
 public:
  // Its keys are taken from now on, whoever gives them back.
  void add(LeftJob job, api::KeysInUse& in_use);
  // Asks Salesforce for those that are due, tries again to abort them, and frees the keys of those that are over;
  // those of an aborted one rest for `rest`, since what it has in hand is not given up at once.
  void look(Calls& calls, api::KeysInUse& in_use, milliseconds rest);

 private:
  std::optional<LeftJob> take_due();
  void put_back(LeftJob job);

  std::mutex mutex_;
  std::vector<LeftJob> jobs_;
};

}  // namespace muskrat::salesforce

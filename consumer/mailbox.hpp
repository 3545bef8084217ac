// What the lanes and the dead-letter office tell the host, and how they wake it.
//
// Used by consumer/lane.cpp and consumer/dead_letters.cpp (which post) and consumer/host.cpp (which takes). The
// descriptor is readable while reports wait, so that the host polls it beside its broker connection.
// Thread rule: post() from any thread, the rest from the host's.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/failure.hpp"
#include "consumer/endpoint.hpp"

namespace muskrat {

struct Report {
  enum class What {
    connected,  // a lane's endpoint is ready
    trouble,    // a lane's connect() or deliver() threw: `why`, `remedy`
    outcomes,   // a lane's batch: one Outcome per event
    buried,     // a dead letter is confirmed: `tag` of `generation`
    unburied,   // a dead letter could not be published: `why`; the office goes on trying
  };
  What what = What::trouble;
  unsigned lane = 0;
  std::vector<Outcome> outcomes;
  std::string why;
  Remedy remedy = Remedy::reconnect;
  milliseconds took{0};
  uint64_t generation = 0, tag = 0;
};

class Mailbox {
 public:
  Mailbox();  // Failure{stop} when descriptors are out
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  void post(Report report);
  std::vector<Report> take();
  int fd() const { return fd_; }
  // Until a report waits, `stop_fd` (-1: none) is readable, or the deadline.
  void wait(Deadline deadline, int stop_fd) const;

 private:
  int fd_;
  std::mutex mutex_;
  std::vector<Report> reports_;
};

}  // namespace muskrat

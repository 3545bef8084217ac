// Ends calls of rabbitmq-c that would hang: past the deadline it shuts the
// connection's socket down, which makes the call fail.
//
// Used by the amqp_*.cpp files. One thread serves the process; it looks ten
// times a second while connections exist, so deadlines hold within 0.1 s.
// Arming is two stores: cheap enough for every publish.
// Thread rule: a Watchdog belongs to its connection's thread.
#pragma once

#include <atomic>
#include <memory>

#include "common/clock.hpp"
#include "common/stop.hpp"

namespace muskrat::amqp {

class Watchdog {
 public:
  // Watches a duplicate of `fd`: rabbitmq-c may close its own in the middle of a call, and the number may be another
  // thread's socket by the time the deadline passes.
  explicit Watchdog(int fd);
  ~Watchdog();  // shuts the socket down

  class Guard {
   public:
    Guard(Watchdog& watchdog, Deadline deadline, const Stop* stop = nullptr);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    bool fired() const;

   private:
    Watchdog& watchdog_;
  };

  struct Entry;

 private:
  std::shared_ptr<Entry> entry_;
};

}  // namespace muskrat::amqp

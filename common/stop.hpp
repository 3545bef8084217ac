// How a daemon is told to stop or to re-read its configuration.
//
// main() makes one StopSource, which blocks SIGTERM, SIGINT and SIGHUP in every
// thread and receives them on a descriptor; loops hold a `const Stop&`, poll its
// descriptor beside their sockets and look at requested(). The descriptor becomes
// readable once and stays readable, so every poller sees it.
// Thread rule: Stop may be shared by any number of threads.
#pragma once

#include <atomic>
#include <memory>

#include "common/clock.hpp"

namespace muskrat {

class Stop {
 public:
  Stop();  // an eventfd; throws Failure{stop} when descriptors are out
  ~Stop();
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  void request();  // async-signal-safe
  bool requested() const { return requested_.load(std::memory_order_relaxed); }
  int fd() const { return fd_; }
  // Sleeps for `span`, or less when stop is requested; true when it was.
  bool wait(milliseconds span) const;

 private:
  int fd_;
  std::atomic<bool> requested_{false};
};

// Turns SIGTERM/SIGINT into stop.request() and SIGHUP into a call of `reload`
// (on the signal thread). Lives in main().
class SignalThread {
 public:
  using Reload = void (*)(void* context);
  SignalThread(Stop& stop, Reload reload = nullptr, void* context = nullptr);
  ~SignalThread();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muskrat

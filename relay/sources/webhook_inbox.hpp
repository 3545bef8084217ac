// Where requests wait until the broker has confirmed the events that they brought.
//
// Used by braintree_webhooks.cpp (the listener's threads hand over and wait) and WebhookPublisher (the source's thread
// takes and tells). Bounded. While it is closed nothing new is accepted: who sends will come again.
// Thread rule: deliver() from any thread, the rest from the source's.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/clock.hpp"
#include "common/event.hpp"

namespace muskrat {

class WebhookInbox {
 public:
  struct Item {
    Event event;
    std::optional<bool> taken;  // whether the broker has it; of the inbox's lock
  };
  using Batch = std::vector<std::shared_ptr<Item>>;

  WebhookInbox();  // Failure{stop} when descriptors are out
  ~WebhookInbox();
  WebhookInbox(const WebhookInbox&) = delete;
  WebhookInbox& operator=(const WebhookInbox&) = delete;

  // True when the broker has confirmed it before the deadline. False says nothing about what becomes of it.
  bool deliver(Event&& event, Deadline deadline);

  // All that has come and still has somebody who waits.
  Batch take();
  void tell(const Batch& batch, bool taken);
  void open(bool yes);
  // Readable while something is there to be taken.
  int fd() const { return fd_; }

 private:
  int fd_;
  std::mutex mutex_;
  std::condition_variable told_;
  Batch waiting_;
  size_t waiters_ = 0;
  bool open_ = false;
};

}  // namespace muskrat

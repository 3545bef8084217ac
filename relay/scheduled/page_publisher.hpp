// Publishes the events of one page after another, and says up to which page the broker has confirmed them.
//
// Pages overlap: the events of the next may be added while those before are still to be confirmed.
// Used by Run. The window, the broker's connection and what it does when the broker is away, blocked or says no are
// those of the outbox sources (Publisher, Window). Thread rule: the run's thread.
// What it does not do: hold events. One that the broker will not take is a Failure, then and from then on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "relay/held.hpp"
#include "relay/meters.hpp"
#include "relay/publisher.hpp"
#include "relay/window.hpp"

namespace muskrat {

class PagePublisher {
 public:
  // `watch`: called often, with what it waits for; "" when nothing is wrong.
  PagePublisher(const Config& config, const std::string& source, int64_t max_body, const Stop& stop,
                std::function<void(const std::string& trouble)> watch);
  ~PagePublisher();
  // Waits for room and sends; returns the page's number, or 0 when asked to stop before all was added.
  uint64_t add(std::vector<Event>&& events);
  // All events of this page and of those before it are confirmed. It stands still once an event was refused.
  uint64_t confirmed() const { return confirmed_; }
  // Sends and hears what can be sent and heard now.
  void pump();
  // As pump(), and waits for the broker; `despite_stop`: also when asked to stop.
  void wait(Deadline deadline, bool despite_stop = false);

 private:
  bool has_room() const { return window_.room() > 0 && window_.room_bytes() > 0; }
  void settle_accounts();
  void throw_if_refused() const;
  uint64_t settled_pages() const;

  const Stop& stop_;
  std::function<void(const std::string&)> watch_;
  Meters meters_;
  Held held_;
  Window window_;
  Publisher publisher_;
  uint64_t page_ = 0, confirmed_ = 0;
  std::string refused_;  // why; "" as long as the broker takes all
};

}  // namespace muskrat

// Publishes what webhooks brought as it comes, and tells each request by itself what became of its event.
//
// Requests do not wait for each other: an event counts as taken with its own confirm, whatever is still to be confirmed
// before it. What comes again while it is under way waits for the same confirm. An event whose request has gone stays
// under way until the broker has it: a repeat, with the id that it had. Of one that the broker does not take the
// request is told so, and the others go on. A confirm that is missing for a third of the requests' patience has the
// connection made anew, so that a request outlives a message that the broker forgot. Events are numbered by when they
// were made, which their seq says in microseconds when they come. Used by braintree_webhooks.cpp.
// Neighbours: WebhookInbox, Publisher and Window, as the other sources have them. Thread rule: the source's thread.
// What it does not do: hold events back, or keep them for the next start.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "relay/held.hpp"
#include "relay/meters.hpp"
#include "relay/publisher.hpp"
#include "relay/scheduled/state.hpp"
#include "relay/sources/webhook_inbox.hpp"
#include "relay/window.hpp"

namespace muskrat {

class WebhookPublisher {
 public:
  struct Settings {
    std::string source;
    int64_t max_body;
    milliseconds patience;  // of the requests
    milliseconds max_age;   // of what they bring
  };
  WebhookPublisher(const Config& config, const Settings& settings, WebhookInbox& inbox, ScheduledState& state);
  // Closes the inbox; those who still wait are told that the broker has nothing of them.
  ~WebhookPublisher();
  WebhookPublisher(const WebhookPublisher&) = delete;
  WebhookPublisher& operator=(const WebhookPublisher&) = delete;

  // Takes, sends and hears; waits for the inbox, the broker or `stop` until the deadline at most.
  void turn(Deadline deadline, const Stop& stop);
  // Takes nothing more, and hears what is still to be heard.
  void drain(Deadline deadline);
  bool connected() const { return publisher_.connected(); }
  // What keeps it from the broker; "" when all is well.
  const std::string& trouble() const { return publisher_.trouble(); }
  size_t under_way() const { return under_way_.size(); }

 private:
  struct UnderWay {
    std::string message_id;
    WebhookInbox::Batch waiting;
  };
  bool has_room() const { return window_.room() > 0 && window_.room_bytes() > 0; }
  void take();
  bool joins(const std::shared_ptr<WebhookInbox::Item>& item);
  void add(const std::shared_ptr<WebhookInbox::Item>& item, int64_t seq);
  void settle();
  void settle(const Window::Fate& fate);
  void tell(int64_t seq, bool taken);

  std::string source_;
  milliseconds max_age_;
  WebhookInbox& inbox_;
  ScheduledState& state_;
  Meters meters_;
  Held held_;
  Window window_;
  Publisher publisher_;
  std::map<int64_t, UnderWay> under_way_;  // by seq
  std::map<std::string, int64_t> seqs_;    // of those, by message_id
};

}  // namespace muskrat

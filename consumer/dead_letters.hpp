// The dead-letter office: publishes what an endpoint can never take to <prefix>.dead, and says when the broker has it.
//
// Used by consumer/host.cpp, one per endpoint. It has an AMQP connection of its own, opened when there is a letter:
// under a memory alarm a connection that also publishes stalls, and consuming must go on. A letter is published
// persistent and mandatory, and counts as buried only when it was confirmed and not returned; until then the office
// tries for ever, with backoff, and the event stays unacknowledged. A crash between confirm and acknowledgement buries
// it twice, under the same message_id: readers count by that. docs/dead-letters.md is the prose of it. Thread rule:
// bury(), abandon() and the destructor from the host's thread; the connection lives on the office's own.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "common/amqp.hpp"
#include "common/stop.hpp"
#include "common/topology.hpp"
#include "consumer/mailbox.hpp"

namespace muskrat {

struct DeadLetter {
  amqp::Delivery original;  // with its body
  std::string routing_key;  // the event's own
  std::string reason;       // class and cause, never a payload
  std::string_view cause;   // one of dead::transient, permanent, held
  std::string trail;        // what was tried: consumer/trail.hpp
  unsigned attempts = 0;
  uint64_t generation = 0, tag = 0;  // for the report
};

namespace dead {
inline constexpr std::string_view header_reason = "x-muskrat-reason";
inline constexpr std::string_view header_endpoint = "x-muskrat-endpoint";
inline constexpr std::string_view header_attempts = "x-muskrat-attempts";
inline constexpr std::string_view header_at = "x-muskrat-dead-at";  // milliseconds since 1970 UTC
inline constexpr std::string_view header_cause = "x-muskrat-class";
inline constexpr std::string_view header_trail = "x-muskrat-trail";
inline constexpr std::string_view header_retries = "x-muskrat-dead-retries";  // how often the host sent it again

// The classes: what may pass (its retries came to nothing), what never will, what waits behind another of its key.
inline constexpr std::string_view transient = "transient";
inline constexpr std::string_view permanent = "permanent";
inline constexpr std::string_view held = "held";

// What the host and the broker wrote about a death: it does not go with the event when that is sent again. The trail
// does.
bool is_about_the_death(const std::string& header);
}  // namespace dead

class DeadLetterOffice : private amqp::Handler {
 public:
  // `broker` is asked at every connect, on the office's thread: a rotated password needs no restart.
  DeadLetterOffice(std::function<amqp::Address()> broker, const Topology& topology, std::string endpoint,
                   Mailbox& mailbox);
  ~DeadLetterOffice() override;

  void bury(DeadLetter letter);  // one report `buried` follows, unless it is abandoned
  // That channel is gone: what is not yet published will come again from the queue.
  void abandon(uint64_t generation);

 private:
  void run();
  bool take_letters();  // false: told to quit
  void work();
  void send(const DeadLetter& letter);
  void await_confirms();
  void put_back();
  void report_trouble(const std::string& why);
  void on_confirm(uint64_t tag, bool multiple, bool acked) override;
  void on_return(amqp::Returned&& returned) override;
  void settle(uint64_t tag, bool acked);

  const std::function<amqp::Address()> broker_;
  const Topology topology_;
  const std::string endpoint_;
  Mailbox& mailbox_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<DeadLetter> waiting_;
  uint64_t abandoned_ = 0;  // the newest void generation
  Stop quit_;

  // of the office's own thread
  std::deque<DeadLetter> to_send_;
  std::map<uint64_t, DeadLetter> sent_;  // by publishing tag
  std::set<std::string> returned_;       // message ids
  std::string refusal_;                  // why the last letter was not taken
  std::optional<amqp::Connection> connection_;
  std::thread thread_;
};

}  // namespace muskrat

// The relay's end of RabbitMQ: sends what the window allows, and tells the window
// what the broker answers.
//
// Every publish is persistent, mandatory and confirmed. A lost connection is made
// again for ever with jittered backoff; what was in flight goes back to the window.
// So is one over which an event has waited for its confirm for half a minute (or for
// less, where somebody waits; twice as long each time, until one comes), counted from
// when it had gone out, which over a slow link may take a large one longer: a quorum queue
// that has no leader yet, as after a broker's restart, may forget a message without a
// word, and a confirm that never comes would hold up its key, and in the end all.
// *Blocked* (the broker's memory or disk alarm) is a state, logged once and shown.
// A channel that the broker closes over something we sent makes the window send one
// at a time until the guilty event is found and held; a missing exchange or a
// refused permission is nobody's event and only waits. An event for one endpoint alone (a
// backfill) goes to that endpoint's queue, with the same accounting.
//
// Used by the sources, one each. Neighbours: Window (the accounting), common/wire.hpp
// (the message format). Thread rule: the source's thread. It knows no database.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/amqp.hpp"
#include "common/backoff.hpp"
#include "common/config.hpp"
#include "relay/meters.hpp"
#include "relay/window.hpp"

namespace muskrat {

// Why a body of so many bytes is held without being sent.
std::string larger_than_max_body(int64_t bytes);

class Publisher : private amqp::Handler {
 public:
  struct Settings {
    std::string source;
    int64_t max_body;                    // larger bodies are held without being sent
    milliseconds connect_limit;          // until it is logged in and has seen the exchange
    milliseconds send_limit;             // for a write; a large body takes many
    milliseconds confirm_limit{30'000};  // longer without one, and the connection is made anew
  };
  Publisher(const Config& config, Settings settings, Window& window, Meters& meters);
  ~Publisher() override;

  bool connected() const { return connection_.has_value(); }
  bool blocked() const { return connection_ && connection_->blocked(); }
  // The socket had no room for the last publish: wait() ends when it has.
  bool full() const { return full_; }
  // Why it is not connected, or what blocks it; "" when all is well.
  const std::string& trouble() const { return trouble_; }

  // Connects when it is not and the backoff has passed. Failure{stop} only for what no retry can mend.
  void connect(const Stop& stop);
  // When connect() will try again.
  SteadyTime next_attempt() const { return next_attempt_; }

  // Sends until the window has nothing more, the broker is blocked, or `permitted` says no.
  void publish(const std::function<bool()>& permitted);
  // Handles what the broker says; waits for it, for `fd` or for `stop`, until the deadline at most.
  void wait(Deadline deadline, const Stop* stop, int fd);
  void close(Deadline deadline);

 private:
  void on_confirm(uint64_t tag, bool multiple, bool acked) override;
  void on_return(amqp::Returned&& returned) override;
  void on_blocked(const std::string& reason) override;
  void on_unblocked() override;

  void require_exchange(Deadline deadline);
  std::string queue_for(const Outgoing& out) const;
  bool send_next(const Outgoing& out);
  void pump_now();
  void lost(const std::string& why);
  void give_up_on_silence();
  bool goes_out();
  void channel_failed(const amqp::ChannelError& error);
  template <typename Act>
  void guarded(Act act);

  const Config& config_;
  Settings settings_;
  std::string exchange_;
  Window& window_;
  Meters& meters_;
  std::optional<amqp::Connection> connection_;
  Backoff backoff_;
  SteadyTime next_attempt_{};
  bool exchange_was_missing_ = false;
  SteadyTime not_before_{};  // no attempt, however soon it would be due
  std::string trouble_;
  int64_t unpumped_bytes_ = 0;
  bool full_ = false;
  std::optional<uint64_t> awaited_;  // the oldest tag in flight, and since when it is that, or still went out
  SteadyTime awaited_since_{};
  // Of all bytes over this connection, about: published, and of them up to when the awaited one was; seen to go out.
  int64_t published_bytes_ = 0, awaited_bytes_ = 0, gone_bytes_ = 0;
  milliseconds confirm_patience_;
};

}  // namespace muskrat

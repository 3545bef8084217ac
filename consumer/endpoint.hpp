// An endpoint's contract: what the host asks of it, and what it owes the host.
//
// Used by the host's lanes; implemented by every file in consumer/endpoints/.
//
// - The host makes one Endpoint per lane and calls it from that lane's thread only.
// - connect() is called before the first delivery and again after deliver() threw Failure{reconnect}, with backoff.
// - deliver() gets events of different ordering keys (a batch holds at most one of each) and returns one Outcome per
//   event, in the order given: nothing may be left out. A bad event never fails its neighbours.
// - An exception says "the endpoint is in trouble, not the events": all of the batch counts as untried.
// - Where a kind waits, or makes several calls for one delivery, it goes through its CallGate (gate()): that keeps the
//   endpoint's rates, and its waits end when the process is to stop.
// - The host may deliver an event again (a crash between effect and ack). An endpoint that can, recognises message_id
//   and guards state by (epoch, seq): then it reports `superseded` or `repeated`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/event.hpp"
#include "common/failure.hpp"

namespace muskrat {

struct Outcome {
  enum class Fate {
    done,        // the effect is in place
    repeated,    // it was in place already (same message_id)
    superseded,  // newer state is in place (higher epoch, seq): passed over, counted
    retry,       // failed, may work later: the host tries again in order, bounded
    park,        // not before `until`: quota or outage of the endpoint, uses no attempt
    dead,        // can never work: dead letter
    skipped,     // the endpoint's mapping does not want it: passed over, counted
    wait,        // not before `until`, and it alone: what it needs is in use; uses no attempt
  };
  // What nobody judged is not acknowledged: it goes again.
  Fate fate = Fate::park;
  // for retry, park, dead, wait: class and cause without payload, e.g. "23514 check constraint plan_check"
  std::string reason = "not answered";
  milliseconds until{0};  // park, wait: how long from now

  static Outcome done() { return {Fate::done, "", milliseconds(0)}; }
  static Outcome skipped(std::string why) { return {Fate::skipped, std::move(why), milliseconds(0)}; }
  static Outcome dead(std::string why) { return {Fate::dead, std::move(why), milliseconds(0)}; }
  static Outcome retry(std::string why) { return {Fate::retry, std::move(why), milliseconds(0)}; }
  static Outcome park(std::string why, milliseconds until) { return {Fate::park, std::move(why), until}; }
  static Outcome wait(std::string why, milliseconds until) { return {Fate::wait, std::move(why), until}; }
  // It was not the event's turn: it goes again as soon as it can.
  static Outcome untried(std::string why) { return {Fate::park, std::move(why), milliseconds(0)}; }
};

class CallGate;  // limits/call_gate.hpp
class Jobs;      // jobs.hpp
class Settings;  // common/options.hpp

class Endpoint {
 public:
  virtual ~Endpoint() = default;
  virtual void connect(Deadline deadline) = 0;
  virtual std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) = 0;
  // Called when nothing was delivered for a while, and at a clean stop: flush files, say goodbye.
  virtual void idle() {}

  // The host's, before connect(). Tools make endpoints without one.
  void use(CallGate& gate) { gate_ = &gate; }
  // The section `consumer`, which says where the host's state database is; before connect(), and outlives the endpoint.
  void keep_notes_in(const Settings& consumer) { consumer_ = &consumer; }
  // Where long work that it hands to its server as a job is listed; outlives the endpoint.
  void list_jobs_in(Jobs& jobs) { jobs_ = &jobs; }

 protected:
  CallGate* gate() const { return gate_; }
  const Settings* consumer() const { return consumer_; }
  Jobs* jobs() const { return jobs_; }

 private:
  CallGate* gate_ = nullptr;
  const Settings* consumer_ = nullptr;
  Jobs* jobs_ = nullptr;
};

}  // namespace muskrat

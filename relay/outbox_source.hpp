// The life of a source that reads an outbox under a lease: connect, stand by, lead,
// connect again; for ever.
//
// Base of the kinds `postgres` and `mysql`, which say how their database is asked.
// Neighbours: LeaseWatch (when the lease may be taken), OutboxLeader (the time of
// leading). What a person must mend is a CannotStart at its start, and is waited for
// once it has worked. Thread rule: the source's thread.
#pragma once

#include <optional>
#include <string>

#include "common/backoff.hpp"
#include "relay/lease.hpp"
#include "relay/meters.hpp"
#include "relay/sources.hpp"

namespace muskrat {

class OutboxSource : public Source {
 public:
  OutboxSource(const SourceContext& context, milliseconds lease_time);
  void run(const Stop& stop) final;

 protected:
  struct Look {
    LeaseView lease;
    int64_t epoch = 0;
  };
  // Makes the connection that the others use, in the place of one before.
  virtual void connect(const Stop& stop) = 0;
  // Where that is, for messages.
  virtual std::string place() const = 0;
  // The lease as it stands, after everything that could keep us from leading was checked.
  virtual Look look() = 0;
  virtual std::optional<int64_t> lease_take(const LeaseView& seen, const std::string& holder) = 0;
  // Until a drained stop; what look() saw last is still so. `asked`: when the lease was asked for.
  virtual void lead(int64_t term, milliseconds asked, const Stop& stop) = 0;

  const SourceContext& context() const { return context_; }
  const std::string& name() const { return name_; }
  OutboxMeters& meters() { return meters_; }

 private:
  struct AtRest;
  void attempt(const Stop& stop);
  void session(const Stop& stop);
  std::optional<LeaseView> stand_by(const Stop& stop);
  bool try_to_lead(const LeaseView& seen, const Stop& stop);
  Look checked_look();
  void away(const std::string& why, const Stop& stop);
  void stopped(const Misconfigured& problem, const Stop& stop);
  void rest(milliseconds span, const Stop& stop);

  SourceContext context_;
  milliseconds lease_time_;
  OutboxMeters meters_;
  std::string name_, board_name_, holder_;
  Backoff backoff_;
  bool proven_ = false;      // it has worked once: from then on it waits for a repair instead of giving up
  std::string stopped_why_;  // the sentence of the state "stopped"
  std::string last_trouble_;
};

}  // namespace muskrat

// The guard around an endpoint that has no transaction of its own: the host remembers for it.
//
// Used by consumer/endpoints.cpp, which wraps every kind with `host_keeps_state` (http, exec, marketo, salesforce) in
// it. Before a delivery it asks the state database: what was done already is `repeated`, what is older than the row's
// newest is `superseded`, and neither reaches the endpoint. After it, what was `done` is recorded in one transaction,
// and only then reported to the host, which acknowledges. A host that dies between effect and record makes the call
// again, with the same message_id. Events without a row key or without (epoch, seq) have no guard; their message_id is
// remembered, as are all with `guard: events`. Retried, parked and dead events are not recorded. Where calls are dear,
// what the guard leaves of a full batch goes with others. Thread rule: the lane's. What it does not do: list superseded
// events (the host does, for every kind).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "consumer/endpoint.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::state {

// What every kind that is guarded by the host can be told; put these into its option table.
inline constexpr Option guard_option{
    "guard", OptionType::choice, "state", "state|events",
    "What the endpoint keeps: with state, the newest (epoch, seq) of each row counts and older events are passed over "
    "(superseded); with events, each event counts for itself and only repeats are passed over."};
inline constexpr Option guard_key_option{
    "guard_key", OptionType::text_list, "", "",
    "The members of the body that tell rows apart, such as id, for guard: state; needed where an ordering key spans "
    "several rows. Default: the ordering key."};
inline constexpr Option seen_for_option{
    "seen_for", OptionType::duration, "7d", "1m..3650d",
    "How long message ids are remembered (guard: events, and events without an ordering key); longer than the outbox's "
    "retention plus the longest wait in the queue."};

class Guarded : public Endpoint {
 public:
  // `full_batch`: where calls are dear, how many events one is meant to carry; else 0.
  Guarded(std::unique_ptr<Endpoint> endpoint, const Component& component, const Settings& consumer,
          size_t full_batch = 0);
  void connect(Deadline deadline) override;
  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override;
  void idle() override;

 private:
  using Questions = std::vector<Store::Question>;
  bool ask_about(const Event& event, Store::Question& question, std::string& why) const;
  bool decide(const Event& event, const Store::Answer& answer, Outcome& outcome) const;
  bool can_wait(size_t left, size_t batch);
  void record(const std::vector<const Event*>& events, const std::vector<Outcome>& outcomes,
              const std::vector<const Store::Question*>& questions);
  void forget(size_t most);

  const std::unique_ptr<Endpoint> endpoint_;
  const Settings& consumer_;
  const std::string name_;
  const bool by_state_;
  const size_t full_batch_;
  const std::vector<std::string> row_members_;
  const milliseconds seen_for_;
  SteadyTime first_put_off_{};  // since the last delivery
  std::unique_ptr<Store> store_;
};

}  // namespace muskrat::state

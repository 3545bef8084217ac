// The explicit list of endpoint kinds.
//
// A new endpoint is one file (or folder) in consumer/endpoints/ and one line in
// consumer/endpoints.cpp. Help, docs, validation, metric labels and the contract
// test that runs over every registered endpoint follow from the entry.
#pragma once

#include <memory>
#include <span>

#include "common/config.hpp"
#include "consumer/endpoint.hpp"
#include "consumer/explain.hpp"
#include "consumer/mirror.hpp"

namespace muskrat {

struct EndpointKind : Kind {
  // Makes one instance per lane. Throws Failure{stop} for what configuration alone shows to be wrong.
  std::unique_ptr<Endpoint> (*make)(const Component& component) = nullptr;
  unsigned default_lanes = 1;
  // It has no transaction of its own: the host recognises repeats and guards newer state for it (consumer/state/).
  // Its option table then holds guard, guard_key and seen_for of state/guarded.hpp.
  bool host_keeps_state = false;
  // How long an event waits at most for others to fill its batch. 0: an idle lane takes what is there at once, and
  // batches form by themselves while it is busy. Longer where each call is dear.
  milliseconds default_batch_age{0};
  // What an endpoint of this kind would do with the event, connecting to nothing: `muskrat explain` and `muskrat test`.
  Explanation (*explain)(const Component& component, const Event& event) = explain_document;
  // For kinds whose tables can be compared with the source's: `muskrat verify`. Connects to nothing yet.
  std::unique_ptr<Mirror> (*mirror)(const Component& component) = nullptr;
  // It makes several calls for one delivery, or may, and enters the gate before each by itself. Null: a delivery is one
  // call. Else: whether each event is a call of its own.
  bool (*enters_gate)(const Settings& settings) = nullptr;
  // For kinds whose server says which fields there are: what of the mapping does not fit them, all at once
  // (described.hpp). `muskrat check --online`; Failure where the server does not answer.
  std::vector<Problem> (*describe)(const Component& component, Deadline deadline) = nullptr;
};

std::span<const EndpointKind> endpoint_kinds();

// How long an event waits at most for others to fill its batch.
milliseconds batch_age(const EndpointKind& kind, const Settings& settings);
bool each_event_is_a_call(const EndpointKind& kind, const Settings& settings);
// Batches are gathered, and each is a call.
bool calls_are_dear(const EndpointKind& kind, const Settings& settings);

// An instance as the host uses it, behind the gate, and guarded where the kind asks for that. `consumer` is the section
// of that name; it, the gate and the list of jobs outlive the endpoint. Without a gate it is for looking only.
std::unique_ptr<Endpoint> make_endpoint(const EndpointKind& kind, const Component& component, const Settings& consumer,
                                        CallGate* gate, Jobs* jobs);

// Whether the host has to keep state for one of these.
bool needs_state(const std::vector<Component>& endpoints);

}  // namespace muskrat

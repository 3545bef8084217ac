// The gate before an endpoint to which a delivery is one call.
//
// Used by endpoints.cpp, for every kind that does not enter the gate itself; inside state/guarded.hpp, so that a
// delivery of which nothing is left counts as no call. A delivery that may not be made now is untried, all of it; one
// that has waited has its whole time still. Thread rule: the lane's.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "consumer/endpoint.hpp"
#include "consumer/limits/call_gate.hpp"

namespace muskrat {

class Gated : public Endpoint {
 public:
  Gated(std::unique_ptr<Endpoint> endpoint, CallGate& gate) : endpoint_(std::move(endpoint)), gate_(gate) {}

  void connect(Deadline deadline) override { endpoint_->connect(deadline); }
  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override {
    const SteadyTime before = std::chrono::steady_clock::now();
    const std::string why = gate_.enter(batch.size(), deadline);
    if (!why.empty()) return {batch.size(), Outcome::untried(why)};
    const auto waited = std::chrono::steady_clock::now() - before;
    return endpoint_->deliver(batch, Deadline::at(deadline.instant() + waited));
  }
  void idle() override { endpoint_->idle(); }

 private:
  const std::unique_ptr<Endpoint> endpoint_;
  CallGate& gate_;
};

}  // namespace muskrat

#include "consumer/circuit.hpp"

namespace muskrat {

void Circuit::succeeded() {
  failures_ = 0;
  failing_.clear();
  if (!probing_) return;
  probing_ = false;
  backoff_.reset();
}

void Circuit::failed(const std::string& message_id) {
  // An event that fails for the second time says nothing new about the endpoint.
  if (failing_.size() >= 1000 || !failing_.insert(message_id).second) return;
  // While probing, one event alone does not condemn the endpoint either: it may be the event that tripped it.
  if (probing_ && failing_.size() < 2) return;
  ++failures_;
}

milliseconds Circuit::open() {
  failures_ = 0;
  failing_.clear();
  probing_ = true;
  return backoff_.next();
}

}  // namespace muskrat

// The endpoint kind `null`: takes everything and keeps nothing. For measuring, and for draining a queue on purpose.
#include <algorithm>
#include <array>

#include "consumer/endpoints.hpp"
#include "consumer/limits/call_gate.hpp"

namespace muskrat {
namespace {

constexpr std::array options{
    Option{"delay", OptionType::duration, "0ms", "0ms..1h",
           "How long each batch takes; for trying out slow endpoints."},
};

class NullEndpoint : public Endpoint {
 public:
  explicit NullEndpoint(milliseconds delay) : delay_(delay) {}

  void connect(Deadline) override {}

  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override {
    if (delay_.count() > 0 && gate() != nullptr) gate()->sleep(std::min(delay_, milliseconds(deadline.poll_timeout())));
    return std::vector<Outcome>(batch.size(), Outcome::done());
  }

 private:
  milliseconds delay_;
};

Explanation explain(const Component&, const Event&) { return {Explanation::Fate::sends, "null"}; }

std::unique_ptr<Endpoint> make(const Component& component) {
  return std::make_unique<NullEndpoint>(component.settings.duration("delay"));
}

}  // namespace

const EndpointKind& null_endpoint() {
  static const EndpointKind kind{
      {"null", "takes every event and keeps none, for measuring and for draining a queue on purpose", options},
      make,
      1,
      false,
      milliseconds(0),
      explain};
  return kind;
}

}  // namespace muskrat

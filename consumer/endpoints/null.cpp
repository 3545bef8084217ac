// The endpoint kind `null`: takes everything and keeps nothing. For measuring, and for draining a queue on purpose.
#include <array>
#include <thread>

#include "consumer/endpoints.hpp"

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
    if (delay_.count() > 0) std::this_thread::sleep_until(Deadline::in(delay_).sooner(deadline).instant());
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

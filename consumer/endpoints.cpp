#include "consumer/endpoints.hpp"

#include <algorithm>
#include <array>

#include "consumer/gated.hpp"
#include "consumer/state/guarded.hpp"

namespace muskrat {

// Each defined in consumer/endpoints/.
const EndpointKind& postgres_endpoint();
const EndpointKind& mysql_endpoint();
const EndpointKind& http_endpoint_kind();
const EndpointKind& exec_endpoint();
const EndpointKind& marketo_endpoint();
const EndpointKind& salesforce_endpoint();
const EndpointKind& file_endpoint();
const EndpointKind& null_endpoint();

std::span<const EndpointKind> endpoint_kinds() {
  static const std::array kinds{postgres_endpoint(), mysql_endpoint(),      http_endpoint_kind(), exec_endpoint(),
                                marketo_endpoint(),  salesforce_endpoint(), file_endpoint(),      null_endpoint()};
  return kinds;
}

milliseconds batch_age(const EndpointKind& kind, const Settings& settings) {
  return settings.has("batch_age") ? settings.duration("batch_age") : kind.default_batch_age;
}

bool each_event_is_a_call(const EndpointKind& kind, const Settings& settings) {
  return kind.enters_gate != nullptr && kind.enters_gate(settings);
}

bool calls_are_dear(const EndpointKind& kind, const Settings& settings) {
  return batch_age(kind, settings).count() > 0 && !each_event_is_a_call(kind, settings);
}

std::unique_ptr<Endpoint> make_endpoint(const EndpointKind& kind, const Component& component, const Settings& consumer,
                                        CallGate* gate, Jobs* jobs) {
  auto endpoint = kind.make(component);
  if (jobs != nullptr) endpoint->list_jobs_in(*jobs);
  if (gate != nullptr) {
    endpoint->use(*gate);
    endpoint->keep_notes_in(consumer);
    if (kind.enters_gate == nullptr) endpoint = std::make_unique<Gated>(std::move(endpoint), *gate);
  }
  if (!kind.host_keeps_state) return endpoint;
  const bool dear = calls_are_dear(kind, component.settings);
  const auto full = dear ? static_cast<size_t>(component.settings.integer("batch_size")) : 0;
  return std::make_unique<state::Guarded>(std::move(endpoint), component, consumer, full);
}

bool needs_state(const std::vector<Component>& endpoints) {
  return std::any_of(endpoints.begin(), endpoints.end(), [](const Component& component) {
    if (has_quota(component.settings)) return true;
    const auto kinds = endpoint_kinds();
    return std::any_of(kinds.begin(), kinds.end(),
                       [&](const EndpointKind& kind) { return kind.host_keeps_state && kind.name == component.kind; });
  });
}

}  // namespace muskrat

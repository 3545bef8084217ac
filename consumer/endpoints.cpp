#include "consumer/endpoints.hpp"

#include <array>

namespace muskrat {

// Each defined in consumer/endpoints/.
const EndpointKind& postgres_endpoint();
const EndpointKind& file_endpoint();
const EndpointKind& null_endpoint();

std::span<const EndpointKind> endpoint_kinds() {
  static const std::array kinds{postgres_endpoint(), file_endpoint(), null_endpoint()};
  return kinds;
}

}  // namespace muskrat

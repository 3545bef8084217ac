#include "relay/sources.hpp"

#include <array>

#include "relay/sources/mysql_outbox.hpp"
#include "relay/sources/postgres_outbox.hpp"

namespace muskrat {

std::span<const SourceKind> source_kinds() {
  static const std::array kinds = {postgres_outbox::kind, mysql_outbox::kind};
  return kinds;
}

}  // namespace muskrat

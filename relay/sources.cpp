#include "relay/sources.hpp"

#include <array>

#include "relay/sources/braintree.hpp"
#include "relay/sources/braintree_webhooks.hpp"
#include "relay/sources/http_json.hpp"
#include "relay/sources/mysql_outbox.hpp"
#include "relay/sources/postgres_outbox.hpp"
#include "relay/sources/salesforce.hpp"
#include "relay/sources/sql_query.hpp"

namespace muskrat {

std::span<const SourceKind> source_kinds() {
  static const std::array kinds = {postgres_outbox::kind,   mysql_outbox::kind,      sql_query::kind,
                                   http_json::kind,         salesforce_source::kind, braintree::kind,
                                   braintree_webhooks::kind};
  return kinds;
}

const SourceKind& kind_of(const Component& source) {
  for (const SourceKind& kind : source_kinds())
    if (kind.name == source.kind) return kind;
  throw Failure(Remedy::stop, "source " + source.name + ": there is no kind " + source.kind);
}

}  // namespace muskrat

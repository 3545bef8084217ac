// The source kind `braintree-webhooks`: what Braintree sends by itself, taken by an HTTP listener of its own. See
// docs/scheduled-sources.md.
#pragma once

#include "relay/sources.hpp"

namespace muskrat::braintree_webhooks {

extern const SourceKind kind;

}  // namespace muskrat::braintree_webhooks

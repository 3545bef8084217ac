// The source kind `braintree`: transactions, customers or subscriptions of a merchant, through Braintree's gateway, on
// a schedule. See docs/scheduled-sources.md.
#pragma once

#include "relay/sources.hpp"

namespace muskrat::braintree {

extern const SourceKind kind;

}  // namespace muskrat::braintree

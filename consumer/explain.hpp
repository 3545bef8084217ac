// What an endpoint would do with an event, as a value: nothing is sent and nothing is connected to.
//
// Used by `muskrat explain` and `muskrat test`; every kind of endpoint provides it through its EndpointKind.
// It knows what the configuration and the event say; what the target's own types make of a value is not known here.
// Thread rule: free functions.
#pragma once

#include <string>

#include "common/config.hpp"
#include "common/event.hpp"

namespace muskrat {

struct Explanation {
  enum class Fate { sends, skips, dead } fate = Fate::sends;
  std::string text;  // sends: JSON (a document, or a list of rows {"table", "effect", "values"}); else why
};

// For kinds that send documents: what their Mapping makes of the event; the body where a kind takes no mapping.
Explanation explain_document(const Component& component, const Event& event);

}  // namespace muskrat

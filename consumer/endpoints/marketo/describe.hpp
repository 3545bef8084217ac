// Marketo's own description of leads or of a custom object, compared with an endpoint's mapping.
//
// Used by the marketo endpoint's entry, for `muskrat check --online`. It is one call of the day's quota. Failure where
// Marketo does not answer it. Thread rule: free function.
#pragma once

#include <vector>

#include "common/config.hpp"

namespace muskrat::marketo {

std::vector<Problem> describe(const Component& component, Deadline deadline);

}  // namespace muskrat::marketo

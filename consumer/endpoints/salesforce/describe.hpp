// What Salesforce says of an endpoint's sObject and of the parents that its mapping names, compared with the mapping.
//
// Used by the salesforce kind's entry, for `muskrat check --online` (consumer/described.hpp compares). One call for the
// object and one for each parent's. Thread rule: free function.
#pragma once

#include <vector>

#include "common/clock.hpp"
#include "common/config.hpp"

namespace muskrat::salesforce {

// Failure where it cannot be asked.
std::vector<Problem> describe(const Component& component, Deadline deadline);

}  // namespace muskrat::salesforce

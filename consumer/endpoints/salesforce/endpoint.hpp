// Salesforce's Endpoint, for the kind's entry (kind.cpp).
#pragma once

#include <memory>

#include "common/config.hpp"
#include "consumer/endpoint.hpp"

namespace muskrat::salesforce {

// `component` outlives it.
std::unique_ptr<Endpoint> make_endpoint(const Component& component);

}  // namespace muskrat::salesforce

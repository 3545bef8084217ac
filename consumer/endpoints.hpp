// The explicit list of endpoint kinds.
//
// A new endpoint is one file (or folder) in consumer/endpoints/ and one line in
// consumer/endpoints.cpp. Help, docs, validation, metric labels and the contract
// test that runs over every registered endpoint follow from the entry.
#pragma once

#include <memory>
#include <span>

#include "common/config.hpp"
#include "consumer/endpoint.hpp"

namespace muskrat {

struct EndpointKind : Kind {
  // Makes one instance per lane. Throws Failure{stop} for what configuration alone shows to be wrong.
  std::unique_ptr<Endpoint> (*make)(const Component& component) = nullptr;
  unsigned default_lanes = 1;
};

std::span<const EndpointKind> endpoint_kinds();

}  // namespace muskrat

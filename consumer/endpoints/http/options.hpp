// The options of the endpoint kind `http`, from which validation, help and docs/configuration.md follow.
//
// Used by http/endpoint.cpp. What it does not do: look at several of them together (requests.hpp, verdict.hpp).
#pragma once

#include "common/options.hpp"

namespace muskrat::http_endpoint {

OptionTable options();

}  // namespace muskrat::http_endpoint

// The source kind `salesforce`: the records of one object of a Salesforce org, by SOQL, on a schedule. See
// docs/scheduled-sources.md.
#pragma once

#include "relay/sources.hpp"

namespace muskrat::salesforce_source {

extern const SourceKind kind;

}  // namespace muskrat::salesforce_source

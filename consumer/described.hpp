// The fields that an endpoint's own server says its records have, compared with the mapping, before an event fails by
// it.
//
// Used by `muskrat check --online` through EndpointKind's `describe`; kinds whose server describes itself (salesforce,
// marketo) turn its answer into DescribedFields. What is known of a mapping without an event is compared: names, `as`,
// constants, defaults, lookups. A document that is made by `jq` or sent as it came has no names to compare. Thread
// rule: free functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "common/options.hpp"

namespace muskrat {

struct DescribedField {
  enum class Type { any, text, whole, number, boolean, date, timestamp };
  std::string name;
  Type type = Type::any;
  std::string type_name;  // as the server calls it
  size_t length = 0;      // in characters; 0: no bound is known
  bool writable = true;
  bool required = false;  // of a new record, where there is no default
};

// Appends every field that is unknown, read-only, of another type or too short, each with its line; and, as a warning,
// what is required and not among them. `owner`: whose fields they are ("Marketo's leads").
void compare_mapping(const Settings& settings, std::span<const DescribedField> fields, const std::string& owner,
                     std::vector<Problem>& problems);

}  // namespace muskrat

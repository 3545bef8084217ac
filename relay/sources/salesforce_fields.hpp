// What Salesforce says of an object, compared with what a source of the kind salesforce asks for.
//
// Used by salesforce.cpp before the first query and for `muskrat check --online`. One call for the object, and one for
// each object that a related field (Account.Name) leads to. Thread rule: free function.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "relay/sources/salesforce_api.hpp"

namespace muskrat::salesforce_source {

// In lower case: Salesforce does not tell Email from email.
std::string lower_name(std::string text);

struct Described {
  std::string object;               // in Salesforce's own spelling, as are all names
  std::vector<std::string> select;  // what the source asks for
  std::string stamp;
  bool replicated = false;  // it has the resources `updated` and `deleted`
  // By its name in lower case, for what is asked for beside `select`.
  std::map<std::string, std::string> fields;
  bool has(const std::string& name) const { return fields.contains(lower_name(name)); }
};

// Failure that names every field which is not there, or which this user may not read.
Described describe(const Settings& settings, Api& api);

}  // namespace muskrat::salesforce_source

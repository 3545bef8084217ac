// What Salesforce's answers say beside their contents: errors, and how many of the org's daily calls are used.
//
// Used by the endpoint kind salesforce and by the source kind salesforce, each of which judges them for itself. Codes
// and the names of fields may be shown; messages may not, for they quote values. Thread rule: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.hpp"

namespace muskrat::salesforce {

struct Error {
  std::string code;     // statusCode or errorCode; "" = the answer holds none
  std::string message;  // never shown
  std::vector<std::string> fields;
};

// Of a member of a list of results ("statusCode") or a request's answer ("errorCode"): an object, or the first of a
// list of them.
Error read_error(const json::Value& value);
// Of a whole answer, which may be no JSON at all.
Error read_error(const std::string& body);
// Another session would be refused as well.
bool no_session_helps(const Error& error);
// " on Level__c" of "No such column 'Level__c' on …": the one part of a message that is a name and no value; or "".
std::string missing_column(const Error& error);

struct Usage {
  int64_t used = 0, most = 0;
};
// Of the header Sforce-Limit-Info, whose parts come in any number and order: "api-usage=10018/100000;
// api-bursts=1/750".
std::optional<Usage> read_usage(std::string_view header);

}  // namespace muskrat::salesforce

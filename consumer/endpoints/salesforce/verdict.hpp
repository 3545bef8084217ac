// Whose failure an error of Salesforce is: of a record in a collection, or of a whole request.
//
// Used by salesforce/endpoint.cpp; the tables stand in docs/salesforce.md. Codes and field names get into reasons;
// messages do not, for they quote values. Thread rule: pure functions.
#pragma once

#include <string>

#include "common/salesforce_answer.hpp"

namespace muskrat::salesforce {

enum class Verdict {
  retry,   // the event's, may pass: uses an attempt
  dead,    // the event's, for good
  down,    // the endpoint's, passes by itself: uses no attempt
  park,    // the endpoint's, until a person changes something: uses no attempt
  shape,   // a field that is not there or not to be written: the mapping's where it makes all records alike
  limit,   // the org's daily calls, or too many long calls at once
  renew,   // the session ended
  narrow,  // something in the request: halved until the culprit stands alone; dead then
  shaky,   // a server error: halved too; alone it is tried again, and several on end are the server's
};

// `names_parent`: the record names a parent by its external id. A parent that is not there has the code of a field that
// is not there, and a message in the user's language; but an unknown field refuses a whole call or job, never a record.
Verdict verdict_of_record(const Error& error, bool names_parent);
Verdict verdict_of_answer(int status, const Error& error);

// "REQUIRED_FIELD_MISSING on LastName", with what to do about it where a person can.
std::string reason_of(const Error& error, bool names_parent = false);
// "answer 403 API_DISABLED_FOR_ORG: …".
std::string reason_of(int status, const Error& error);

}  // namespace muskrat::salesforce

#include "consumer/endpoints/salesforce/verdict.hpp"

#include <algorithm>
#include <array>

#include "common/tame.hpp"

namespace muskrat::salesforce {
namespace {

constexpr std::string_view mapping_todo =
    "look at the endpoint's object, external_id and fields, at the org's, and at the user's rights";
constexpr std::string_view rights_todo =
    "the user needs the right API Enabled, and rights on the object and its fields";

struct Class {
  std::string_view code;
  Verdict verdict;
  std::string_view todo = "";
};

// What is not in it is the event's for good where a record has it, and depends on the status where a request has it.
constexpr std::array classes{
    Class{"UNABLE_TO_LOCK_ROW", Verdict::retry},
    Class{"ALL_OR_NONE_OPERATION_ROLLED_BACK", Verdict::retry},
    Class{"PROCESSING_HALTED", Verdict::retry},
    Class{"QUERY_TIMEOUT", Verdict::retry},
    Class{"REQUEST_RUNNING_TOO_LONG", Verdict::retry},
    Class{"TXN_SECURITY_METERING_ERROR", Verdict::retry},
    Class{"UNKNOWN_EXCEPTION", Verdict::retry},
    Class{"SERVER_UNAVAILABLE", Verdict::down},
    Class{"REQUEST_LIMIT_EXCEEDED", Verdict::limit, "the org's API calls are used up, or too many long ones run"},
    Class{"STORAGE_LIMIT_EXCEEDED", Verdict::park, "the org's storage is full"},
    Class{"INVALID_SESSION_ID", Verdict::renew},
    Class{"INVALID_AUTH_HEADER", Verdict::park, "the session is not taken"},
    Class{"API_DISABLED_FOR_ORG", Verdict::park, rights_todo},
    Class{"API_CURRENTLY_DISABLED", Verdict::park, rights_todo},
    Class{"INVALID_FIELD", Verdict::shape, mapping_todo},
    Class{"INVALID_FIELD_FOR_INSERT_UPDATE", Verdict::shape, mapping_todo},
    Class{"INVALID_TYPE", Verdict::park, mapping_todo},
    Class{"NOT_FOUND", Verdict::park, mapping_todo},
};

const Class* class_of(const Error& error) {
  for (const Class& known : classes)
    if (known.code == error.code) return &known;
  return nullptr;
}

bool says(const Error& error, std::string_view part) { return error.message.find(part) != std::string::npos; }

// Of a whole request, and of a record that is not known to name one.
bool parent_is_missing(const Error& error, bool names_parent = false) {
  return error.code == "INVALID_FIELD" && (names_parent || says(error, "Foreign key external ID"));
}

}  // namespace

Verdict verdict_of_record(const Error& error, bool names_parent) {
  if (says(error, "UNABLE_TO_LOCK_ROW") || says(error, "Too many SOQL queries") ||
      parent_is_missing(error, names_parent))
    return Verdict::retry;
  const Class* known = class_of(error);
  return known != nullptr ? known->verdict : error.code.empty() ? Verdict::retry : Verdict::dead;
}

Verdict verdict_of_answer(int status, const Error& error) {
  if (status == 401) return no_session_helps(error) ? Verdict::park : Verdict::renew;
  if (status == 500) return Verdict::shaky;
  if (parent_is_missing(error)) return Verdict::narrow;
  // of a whole request these say nothing about one event
  if (const Class* known = class_of(error)) return known->verdict == Verdict::retry ? Verdict::shaky : known->verdict;
  if (status == 400 || status == 409 || status == 413) return Verdict::narrow;
  const bool passes = status > 500 || status == 406 || status == 420 || status == 429;
  return passes ? Verdict::down : Verdict::park;
}

std::string reason_of(const Error& error, bool names_parent) {
  if (error.code.empty()) return "an error without a code";
  std::string text = tame(error.code), fields;
  for (const std::string& field : error.fields) fields += (fields.empty() ? " on " : ", ") + tame(field);
  text += tame(fields).empty() ? missing_column(error) : " " + tame(std::string_view(fields).substr(1));
  if (error.code != "UNABLE_TO_LOCK_ROW" && says(error, "UNABLE_TO_LOCK_ROW")) text += " (UNABLE_TO_LOCK_ROW)";
  if (parent_is_missing(error, names_parent)) return text + " (the parent that it names is not there)";
  const Class* known = class_of(error);
  return known == nullptr || known->todo.empty() ? text : text + "; " + std::string(known->todo);
}

std::string reason_of(int status, const Error& error) {
  const std::string answer = "answer " + std::to_string(status);
  if (!error.code.empty()) return answer + " " + reason_of(error);
  if (status < 400) return answer + " where a result is due; look at login_url";
  return answer + " without an error of Salesforce's";
}

}  // namespace muskrat::salesforce

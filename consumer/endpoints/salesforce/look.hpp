// Whether a record is there, asked by a query. A deletion by external id answers 404 where the record is gone, where
// the user may not see its object, and where the value ends like a file's name ("ann@example.inc").
//
// Used by salesforce/endpoint.cpp. Thread rule: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/http.hpp"
#include "common/salesforce_answer.hpp"

namespace muskrat::salesforce {

// A whole or decimal number, as SOQL writes it.
bool is_number(const std::string& text);
// The query's text. `bare`: the field holds numbers, which stand without quotes; a value that is none keeps them.
std::string look_for(const std::string& object, const std::string& field, const std::string& value, bool bare);
// The ids of an answer 200 to it; nullopt for what is no such answer.
std::optional<std::vector<std::string>> read_ids(const std::string& body);
// The value is not of the field's type, as it was written.
bool is_of_another_type(const Error& error);

}  // namespace muskrat::salesforce

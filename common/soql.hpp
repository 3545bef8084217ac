// Literals of SOQL, Salesforce's query language: what stands in one cannot become another part of a query.
//
// Used by the endpoint kind salesforce and by the source kind salesforce. Thread rule: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace muskrat::salesforce {

// 'O\'Neill'
std::string text_literal(std::string_view text);

}  // namespace muskrat::salesforce

// Braintree's XML as JSON: names with underscores, numbers and booleans by their type, arrays, and null.
//
// Used by the kinds braintree and braintree-webhooks. <order-id nil="true"/> becomes "order_id":null, an amount stays
// the text that it is. Pure. Thread rule: free functions.
#pragma once

#include <string>
#include <string_view>

#include "common/xml.hpp"

namespace muskrat::braintree {

// "status-history": status_history
std::string member_name(std::string_view element);

// JSON of what is in an element.
std::string json_of(const xml::Element& element);

// The text of a child; "" when there is none.
std::string_view text_in(const xml::Element& element, std::string_view child);

}  // namespace muskrat::braintree

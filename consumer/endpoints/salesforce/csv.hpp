// Records as the CSV of Bulk API 2.0.
//
// Used by salesforce/bulk.cpp. Pure. Thread rule: free functions.
#pragma once

#include <span>
#include <string>

#include "consumer/endpoints/salesforce/records.hpp"

namespace muskrat::salesforce {

// Whether a row can hold the record: no lists, no text that means something else there, no cell of more than 32,000
// bytes, and 400,000 bytes in all.
bool fits_in_csv(const Record& record);
// A header with every column that a record has, and a row for each. An empty cell leaves a field as it is, #N/A empties
// it. Of records that fit.
std::string csv_of(std::span<const Record* const> records);

}  // namespace muskrat::salesforce

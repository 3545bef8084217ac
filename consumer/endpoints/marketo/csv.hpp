// Leads or custom objects as the CSV of a bulk import, and what Marketo says of its rows.
//
// Used by marketo/bulk.cpp. Adobe does not say what an empty cell does to a field that has a value: a file holds
// records with the same fields alone, each with a value. Pure. Thread rule: free functions.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "consumer/endpoints/marketo/target.hpp"

namespace muskrat::marketo {

// The cells of a record, its fields in the order of their names; nullopt where one has no value, or would mean
// something else in a file.
using Cells = std::vector<std::pair<std::string, std::string>>;
std::optional<Cells> cells_of(const Record& record);
// The names; records that have it in common fit into one file.
std::string csv_header(const Cells& cells);
std::string csv_row(const Cells& cells);

// The body and content type of a request that uploads a file.
struct Upload {
  std::string body, content_type;
};
Upload upload_of(const std::string& csv);

// Record::key of each row that a file of failures or warnings names; nullopt where it cannot be read.
std::optional<std::set<std::string>> keys_of_rows(std::string_view csv, const Target& target);

}  // namespace muskrat::marketo

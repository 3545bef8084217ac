// CSV as APIs take it for jobs of many records, and their results read back: RFC 4180, with a header.
//
// Used by endpoint kinds with bulk jobs (salesforce, marketo), which know what a cell means. Pure. Thread rule: free
// functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muskrat::api {

// Quoted where that is needed; ends with LF.
void add_csv_row(std::string& out, const std::vector<std::string>& cells);

struct CsvTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  // Where a column is, whatever its case.
  std::optional<size_t> column(std::string_view name) const;
};
// nullopt for what is none.
std::optional<CsvTable> read_csv(std::string_view text);

}  // namespace muskrat::api

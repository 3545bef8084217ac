#include "consumer/endpoints/marketo/csv.hpp"

#include <algorithm>

#include "common/field_convert.hpp"
#include "common/json.hpp"
#include "consumer/endpoints/api/call_notes.hpp"
#include "consumer/endpoints/api/csv.hpp"

namespace muskrat::marketo {
namespace {

// An empty cell, and the word null, may stand for "no value".
bool is_plain(std::string text) {
  to_lower(text);
  return !text.empty() && text != "null";
}

std::string row_of(const Cells& cells, std::string Cells::value_type::*part) {
  std::vector<std::string> row;
  for (const auto& cell : cells) row.push_back(cell.*part);
  std::string text;
  api::add_csv_row(text, row);
  return text;
}

}  // namespace

std::optional<Cells> cells_of(const Record& record) {
  std::string why;
  const auto document = json::Document::parse(record.text, why);
  if (!document) return std::nullopt;
  const json::Value root = document->root();
  Cells cells;
  for (size_t i = 0; i < root.size(); ++i) {
    std::string text = root.member(i).scalar_text().value_or("");
    if (!is_plain(text)) return std::nullopt;
    cells.emplace_back(root.member_name(i), std::move(text));
  }
  std::sort(cells.begin(), cells.end());
  const auto same_name = [](const auto& one, const auto& other) { return one.first == other.first; };
  if (std::adjacent_find(cells.begin(), cells.end(), same_name) != cells.end()) return std::nullopt;
  return cells;
}

std::string csv_header(const Cells& cells) { return row_of(cells, &Cells::value_type::first); }
std::string csv_row(const Cells& cells) { return row_of(cells, &Cells::value_type::second); }

Upload upload_of(const std::string& csv) {
  std::string boundary;
  do boundary = "muskrat-" + api::CallNotes::new_id();
  while (csv.find(boundary) != std::string::npos);
  return {"--" + boundary +
              "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"muskrat.csv\"\r\n"
              "Content-Type: text/csv; charset=UTF-8\r\n\r\n" +
              csv + "\r\n--" + boundary + "--\r\n",
          "multipart/form-data; boundary=" + boundary};
}

std::optional<std::set<std::string>> keys_of_rows(std::string_view csv, const Target& target) {
  const auto table = api::read_csv(csv);
  std::vector<size_t> columns;
  for (const std::string& name : target.key_fields()) {
    const auto column = table ? table->column(name) : std::nullopt;
    if (!column) return std::nullopt;
    columns.push_back(*column);
  }
  std::set<std::string> keys;
  for (const auto& row : table->rows) {
    std::vector<std::string> values;
    values.reserve(columns.size());
    for (const size_t column : columns) values.push_back(row[column]);
    keys.insert(target.key_of(values));
  }
  return keys;
}

}  // namespace muskrat::marketo

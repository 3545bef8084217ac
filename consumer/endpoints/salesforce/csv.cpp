#include "consumer/endpoints/salesforce/csv.hpp"

#include <map>
#include <utility>

#include "common/json.hpp"
#include "consumer/endpoints/api/csv.hpp"

namespace muskrat::salesforce {
namespace {

constexpr std::string_view empties = "#N/A";
// Salesforce's limits are in characters, which are never more than bytes.
constexpr size_t longest_cell = 32'000, longest_record = 400'000;

// Column and cell of each value, in the record's order. nullopt where a value fits in no cell.
using Cells = std::vector<std::pair<std::string, std::string>>;

std::optional<std::string> cell_of(const json::Value& value) {
  if (value.type() == json::Type::object || value.type() == json::Type::array) return std::nullopt;
  const std::string text = value.scalar_text().value_or("");
  if (text == empties) return std::nullopt;
  return text.empty() ? std::string(empties) : text;
}

std::optional<Cells> cells_of(const Record& record) {
  std::string why;
  const auto document = json::Document::parse(record.text, why);
  if (!document) return std::nullopt;
  Cells cells;
  const auto add = [&](std::string name, const json::Value& value) {
    auto cell = cell_of(value);
    if (cell) cells.emplace_back(std::move(name), std::move(*cell));
    return cell.has_value();
  };
  const auto root = document->root();
  for (size_t i = 0; i < root.size(); ++i) {
    const std::string name(root.member_name(i));
    const json::Value value = root.member(i);
    if (name == "attributes") continue;
    if (value.type() != json::Type::object) {
      if (!add(name, value)) return std::nullopt;
      continue;
    }
    for (size_t j = 0; j < value.size(); ++j)
      if (!add(name + "." + std::string(value.member_name(j)), value.member(j))) return std::nullopt;
  }
  return cells;
}

}  // namespace

bool fits_in_csv(const Record& record) {
  const auto cells = cells_of(record);
  if (!cells) return false;
  size_t all = 0;
  for (const auto& [name, cell] : *cells) {
    if (cell.size() > longest_cell) return false;
    all += cell.size();
  }
  return all <= longest_record;
}

std::string csv_of(std::span<const Record* const> records) {
  std::vector<std::string> header;
  std::map<std::string, size_t> columns;
  std::vector<Cells> rows;
  rows.reserve(records.size());
  for (const Record* record : records) {
    rows.push_back(cells_of(*record).value_or(Cells{}));
    for (const auto& [name, cell] : rows.back())
      if (columns.emplace(name, header.size()).second) header.push_back(name);
  }
  std::string out;
  api::add_csv_row(out, header);
  for (const Cells& cells : rows) {
    std::vector<std::string> row(header.size());
    for (const auto& [name, cell] : cells) row[columns.at(name)] = cell;
    api::add_csv_row(out, row);
  }
  return out;
}

}  // namespace muskrat::salesforce

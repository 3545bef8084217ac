#include "consumer/endpoints/api/csv.hpp"

#include <algorithm>

#include "common/field_convert.hpp"

namespace muskrat::api {
namespace {

std::string quoted(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

// One cell from `at` on, which then stands at its comma, line end or the end; false when a quote is never closed.
bool read_cell(std::string_view text, size_t& at, std::string& cell) {
  cell.clear();
  if (at >= text.size() || text[at] != '"') {
    const size_t end = std::min(text.find_first_of(",\r\n", at), text.size());
    cell = text.substr(at, end - at);
    at = end;
    return true;
  }
  for (++at; at < text.size(); ++at) {
    if (text[at] != '"') {
      cell += text[at];
    } else if (at + 1 < text.size() && text[at + 1] == '"') {
      cell += text[++at];
    } else {
      return ++at, true;
    }
  }
  return false;
}

}  // namespace

void add_csv_row(std::string& out, const std::vector<std::string>& cells) {
  for (size_t i = 0; i < cells.size(); ++i) out += (i > 0 ? "," : "") + quoted(cells[i]);
  out += '\n';
}

std::optional<size_t> CsvTable::column(std::string_view name) const {
  std::string wanted(name);
  to_lower(wanted);
  for (size_t i = 0; i < header.size(); ++i) {
    std::string one = header[i];
    to_lower(one);
    if (one == wanted) return i;
  }
  return std::nullopt;
}

std::optional<CsvTable> read_csv(std::string_view text) {
  CsvTable table;
  std::vector<std::string> row;
  std::string cell;
  for (size_t at = 0; at < text.size();) {
    if (!read_cell(text, at, cell)) return std::nullopt;
    row.push_back(cell);
    if (at < text.size() && text[at] == ',') {
      ++at;
      if (at == text.size()) row.emplace_back();
      continue;
    }
    while (at < text.size() && (text[at] == '\r' || text[at] == '\n')) ++at;
    (table.header.empty() ? table.header : table.rows.emplace_back()) = std::move(row);
    row.clear();
  }
  const auto odd = [&](const auto& one) { return one.size() != table.header.size(); };
  if (table.header.empty() || std::any_of(table.rows.begin(), table.rows.end(), odd)) return std::nullopt;
  return table;
}

}  // namespace muskrat::api

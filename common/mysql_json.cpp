#include "common/mysql_json.hpp"

#include <sstream>

namespace muskrat::mysql {
namespace {

// The name in backticks that the line of a column begins with; "" for other lines.
std::string quoted_name(const std::string& line) {
  if (!line.starts_with("  `")) return "";
  size_t end = 3;
  while (end < line.size() && (line[end] != '`' || (end + 1 < line.size() && line[end + 1] == '`')))
    end += line[end] == '`' ? 2 : 1;
  return line.substr(2, end - 1);
}

std::string unquoted(const std::string& name) {
  std::string text;
  for (size_t i = 1; i + 1 < name.size(); ++i) {
    text += name[i];
    if (name[i] == '`') ++i;
  }
  return text;
}

}  // namespace

std::set<std::string> json_checked_columns(Connection& connection, const std::string& table, Deadline deadline) {
  std::set<std::string> columns;
  if (!connection.mariadb()) return columns;
  connection.exec("SET SESSION sql_quote_show_create = 1", deadline);
  const Result shown = connection.exec("SHOW CREATE TABLE " + table, deadline);
  std::istringstream lines{std::string(shown.text(0, 1))};
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with(',')) line.pop_back();
    const std::string name = quoted_name(line);
    // The last thing of its line: a comment, which could say the same, ends in a quote.
    if (!name.empty() && line.ends_with(" CHECK (json_valid(" + name + "))")) columns.insert(unquoted(name));
  }
  return columns;
}

}  // namespace muskrat::mysql

#include "capture_mysql/install_sql.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "common/digest.hpp"

namespace muskrat::capture_mysql {
namespace {

constexpr std::string_view created = "CREATE /*M! OR REPLACE */ ", room = "/*!80000 DROP ", comment_is = "COMMENT '";

// The closing quote of the literal whose text begins at `at`; a quote in it is doubled.
size_t literal_end(const std::string& sql, size_t at) {
  size_t end = sql.find('\'', at);
  while (end != std::string::npos && sql.compare(end, 2, "''") == 0) end = sql.find('\'', end + 2);
  return end;
}

std::string undoubled(const std::string& literal) {
  std::string text;
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] == '\'') ++i;
    text += literal[i];
  }
  return text;
}

}  // namespace

std::vector<std::string> statements_of(std::string_view script) {
  std::vector<std::string> statements(1);
  std::string delimiter = ";";
  while (!script.empty()) {
    const size_t end = std::min(script.find('\n'), script.size());
    const std::string line(script.substr(0, end));
    script.remove_prefix(std::min(end + 1, script.size()));
    if (line.starts_with("DELIMITER ")) {
      delimiter = line.substr(10);
      continue;
    }
    if (line.starts_with("--")) continue;
    if (line.ends_with(delimiter)) {
      statements.back() += line.substr(0, line.size() - delimiter.size());
      statements.emplace_back();
    } else if (!line.empty()) {
      statements.back() += line + "\n";
    }
  }
  statements.pop_back();
  return statements;
}

std::optional<Routine> routine_of(const std::string& statement) {
  if (!statement.starts_with(created)) return std::nullopt;
  for (const char* kind : {"FUNCTION", "PROCEDURE"}) {
    const std::string before = std::string(" ") + kind + " muskrat.";
    size_t at = statement.find(before), comment = statement.find(comment_is);
    if (at == std::string::npos || comment == std::string::npos || comment < at) continue;
    at += before.size();
    comment += comment_is.size();
    const size_t end = literal_end(statement, comment);
    if (end == std::string::npos) continue;
    const std::string digest = " [" + hex(sha256(statement)).substr(0, 16) + "]";
    return Routine{kind, statement.substr(at, statement.find('(', at) - at),
                   undoubled(statement.substr(comment, end - comment)) + digest,
                   statement.substr(0, end) + digest + statement.substr(end)};
  }
  return std::nullopt;
}

bool makes_room(const std::string& statement) { return statement.starts_with(room); }

std::string version_problem(std::string_view version) {
  std::array<int, 3> is{};
  const char *at = version.data(), *end = at + version.size();
  for (int& part : is) {
    const auto read = std::from_chars(at, end, part);
    if (read.ec != std::errc()) return "";
    at = read.ptr + (read.ptr != end && *read.ptr == '.' ? 1 : 0);
  }
  if (version.find("MariaDB") != std::string_view::npos)
    return is < std::array{10, 10, 0} ? "Muskrat needs MariaDB 10.10 or later, which knows RANDOM_BYTES" : "";
  return is < std::array{8, 0, 17} ? "Muskrat needs MySQL 8.0.17 or later, which takes expressions as defaults and "
                                     "casts to DOUBLE"
                                   : "";
}

}  // namespace muskrat::capture_mysql

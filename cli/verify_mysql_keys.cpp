#include "cli/verify_mysql_keys.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace muskrat::cli::mysql_keys {
namespace {

using capture_mysql::quote_identifier;

struct Known {
  std::string_view type, family;
};

// As PostgreSQL and MySQL name them. CHAR is missing at the endpoint: it drops blanks at the end.
constexpr std::array at_the_endpoint{
    Known{"smallint", "number"}, Known{"integer", "number"},
    Known{"bigint", "number"},   Known{"numeric", "number"},
    Known{"tinyint", "number"},  Known{"mediumint", "number"},
    Known{"int", "number"},      Known{"decimal", "number"},
    Known{"text", "text"},       Known{"character varying", "text"},
    Known{"varchar", "text"},    Known{"tinytext", "text"},
    Known{"mediumtext", "text"}, Known{"longtext", "text"},
    Known{"uuid", "uuid"},       Known{"date", "date"},
};

bool digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string number_form(std::string text) {
  const bool negative = text.starts_with('-');
  if (negative) text.erase(0, 1);
  const size_t point = text.find('.');
  std::string whole = text.substr(0, point), fraction = point == std::string::npos ? "0" : text.substr(point + 1);
  if (!digits(whole) || !digits(fraction)) return "";
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size() - 1));
  fraction.erase(fraction.find_last_not_of('0') + 1);
  const bool zero = whole == "0" && fraction.empty();
  return (negative && !zero ? "-" : "") + whole + (fraction.empty() ? "" : "." + fraction);
}

bool is_date(const std::string& text) {
  return text.size() == 10 && text[4] == '-' && text[7] == '-' && digits(text.substr(0, 4)) &&
         digits(text.substr(5, 2)) && digits(text.substr(8, 2));
}

std::string column(const std::string& name) { return std::string(row) + "." + quote_identifier(name); }

// As the endpoint's text, or near enough for in_one_form.
std::string text_of(const std::string& name, const std::string& family) {
  if (family == "number") return "CONCAT(" + column(name) + " + 0)";  // without the zeros of ZEROFILL
  return "CONVERT(" + column(name) + " USING utf8mb4)";
}

}  // namespace

std::string family_of(const std::string& endpoint_type) {
  const auto* found = std::find_if(at_the_endpoint.begin(), at_the_endpoint.end(),
                                   [&](const Known& known) { return known.type == endpoint_type; });
  return found == at_the_endpoint.end() ? "" : std::string(found->family);
}

std::string family_of(const capture_mysql::Column& column) {
  if (column.column_type == "tinyint(1)") return "";  // a boolean
  return column.data_type == "char" ? "text" : family_of(column.data_type);
}

std::string in_one_form(const std::string& family, const std::string& text) {
  if (family == "number") return number_form(text);
  if (family == "date") return is_date(text) ? text : "";
  return text;
}

std::string present(const capture_mysql::Table& table, const Finder& finder, std::span<const KeyTexts> values,
                    const std::string& condition, const std::function<std::string(const std::string&)>& quote) {
  std::string columns, texts, rows;
  for (size_t c = 0; c < finder.columns.size(); ++c) {
    columns += (c > 0 ? ", " : "") + column(finder.columns[c]);
    texts += (c > 0 ? ", " : "") + text_of(finder.columns[c], finder.types[c]);
  }
  for (const KeyTexts& one : values) {
    std::string literals;
    for (size_t c = 0; c < one.size(); ++c) {
      const std::string form = in_one_form(finder.types[c], one[c]);
      if (form.empty() && finder.types[c] != "text") break;
      literals += (c > 0 ? ", " : "") + (finder.types[c] == "number" ? form : quote(form));
      if (c + 1 == one.size()) rows += (rows.empty() ? "(" : ", (") + literals + ")";
    }
  }
  if (rows.empty()) return "";
  return "SELECT DISTINCT " + texts + " FROM " + table.quoted() + " AS " + row + " WHERE (" + columns + ") IN (" +
         rows + ")" + (condition.empty() ? "" : " AND (" + condition + ")");
}

}  // namespace muskrat::cli::mysql_keys

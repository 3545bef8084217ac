#include "relay/sources/sql_query_mysql_json.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "common/digest.hpp"
#include "common/json.hpp"

namespace muskrat::sql_query::mysql_server {
namespace {

using Kind = mysql::Column::Kind;

// Without the zeros of ZEROFILL.
std::string number_of(std::string_view digits) {
  std::string text(digits);
  const size_t sign = text.starts_with('-') ? 1 : 0;
  while (text.size() > sign + 1 && text[sign] == '0' && text[sign + 1] != '.') text.erase(sign, 1);
  return text;
}

// The shortest that reads back the same, laid out as PostgreSQL does it.
template <typename Real>
std::string real_of(std::string_view digits, int most_digits) {
  Real value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  std::array<char, 512> text{};
  auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific).ptr;
  std::string scientific(text.data(), end);
  const int exponent = std::stoi(scientific.substr(scientific.find('e') + 1));
  if (value != 0 && (exponent < -4 || exponent >= most_digits)) return scientific;
  end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed).ptr;
  return {text.data(), end};
}

std::string bits_of(std::string_view bytes, unsigned long bits) {
  std::string text;
  for (const char byte : bytes)
    for (int bit = 7; bit >= 0; --bit) text += ((static_cast<unsigned char>(byte) >> bit) & 1) != 0 ? '1' : '0';
  return text.size() > bits ? text.substr(text.size() - bits) : text;
}

// A time of day or a date with one: without the zeros that end its fraction.
std::string trimmed(std::string_view time) {
  if (time.find('.') == time.npos) return std::string(time);
  const size_t last = time.find_last_not_of('0');
  return std::string(time.substr(0, time[last] == '.' ? last : last + 1));
}

std::string time_of(std::string_view text, const char* zone) {
  // No reader could take it as a date.
  if (text.starts_with("0000-00-00")) return "null";
  std::string time = trimmed(text);
  if (const size_t gap = time.find(' '); gap != time.npos) time[gap] = 'T';
  return '"' + time + zone + '"';
}

std::string flag_of(std::string_view text) {
  if (text == "0" || text == "1") return text == "1" ? "true" : "false";
  return number_of(text);
}

}  // namespace

std::string json_of(const mysql::Column& column, std::string_view text) {
  switch (column.kind) {
    case Kind::integer:
    case Kind::decimal:
      return number_of(text);
    case Kind::boolean:
      return flag_of(text);
    case Kind::single:
      return real_of<float>(text, 6);
    case Kind::real:
      return real_of<double>(text, 15);
    case Kind::bits:
      return column.bits == 1 ? flag_of(bits_of(text, 1)) : '"' + bits_of(text, column.bits) + '"';
    case Kind::date:
    case Kind::datetime:
      return time_of(text, "");
    case Kind::timestamp:
      return time_of(text, "+00:00");
    case Kind::time:
      return '"' + trimmed(text) + '"';
    case Kind::json:
      return std::string(text);
    case Kind::bytes:
      return "\"\\\\x" + hex(text) + '"';
    case Kind::geometry:
      throw Failure(Remedy::reconnect, "the column " + column.name +
                                           " is a geometry, which has no JSON; make it a text in the query "
                                           "(ST_AsGeoJSON, ST_AsText) or leave it out");
    case Kind::text:
      break;
  }
  return json::quote(text);
}

std::string body_of(const mysql::Result& rows, int row, int first, const std::string& as_of) {
  std::string body = "{";
  for (int at = first; at < rows.columns(); ++at) {
    const mysql::Column& column = rows.column(at);
    if (at > first) body += ',';
    body.append(json::quote(column.name)).append(":");
    body += rows.null(row, at) ? "null" : json_of(column, rows.text(row, at));
  }
  if (!as_of.empty()) body += ",\"as_of\":" + json::quote(as_of);
  return body + "}";
}

}  // namespace muskrat::sql_query::mysql_server

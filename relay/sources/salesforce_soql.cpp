#include "relay/sources/salesforce_soql.hpp"

#include <algorithm>
#include <cctype>

#include "common/soql.hpp"
#include "common/utc_text.hpp"

namespace muskrat::salesforce_source {
namespace {

constexpr int64_t second_us = 1'000'000, milli_us = 1000;
constexpr size_t short_id = 15, long_id = 18;

bool word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool one_name(std::string_view name) {
  return !name.empty() && std::isalpha(static_cast<unsigned char>(name.front())) != 0 &&
         std::all_of(name.begin(), name.end(), word);
}

// Past the text that begins at `at`; npos when it does not end.
size_t end_of_text(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '\'')
      return at + 1;
  }
  return text.npos;
}

std::string behind(const Query& query, const Place& from) {
  const std::string after = "Id > " + salesforce::text_literal(from.id);
  if (query.stamp.empty()) return from.id.empty() ? "" : after;
  if (!from.stamp) return "";
  const std::string at = time_literal(*from.stamp);
  if (from.id.empty()) return query.stamp + " >= " + at;
  return "(" + query.stamp + " > " + at + " OR (" + query.stamp + " = " + at + " AND " + after + "))";
}

}  // namespace

bool good_name(std::string_view name, bool related) {
  const size_t dot = related ? name.find('.') : name.npos;
  if (dot == name.npos) return one_name(name);
  return one_name(name.substr(0, dot)) && good_name(name.substr(dot + 1), true);
}

bool is_id(std::string_view text) {
  return (text.size() == short_id || text.size() == long_id) &&
         std::all_of(text.begin(), text.end(), [](char c) { return c != '_' && word(c); });
}

bool same_id(std::string_view a, std::string_view b) {
  return is_id(a) && is_id(b) && a.substr(0, short_id) == b.substr(0, short_id);
}

std::string time_literal(int64_t us) {
  const int64_t part = ((us % second_us) + second_us) % second_us;
  std::string text = utc_text(us - part);
  return text.insert(text.size() - 1, "." + std::to_string(milli_us + part / milli_us).substr(1));
}

std::optional<int64_t> time_of(std::string_view text) {
  std::string rfc(text);
  const size_t sign = rfc.size() < 5 ? rfc.npos : rfc.size() - 5;
  if (sign != rfc.npos && (rfc[sign] == '+' || rfc[sign] == '-') && rfc.find('T') < sign) rfc.insert(sign + 3, ":");
  return utc_from_text(rfc);
}

std::string condition_fault(std::string_view text) {
  int depth = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '\'') {
      at = end_of_text(text, at);
      if (at == text.npos) return "a ' without the other";
      continue;
    }
    if (text[at] == '(') ++depth;
    if (text[at] == ')' && --depth < 0) break;
    ++at;
  }
  return depth == 0 ? "" : "a ( or ) without the other";
}

std::string soql(const Query& query, const Place& from) {
  std::string text = "SELECT ";
  for (const std::string& field : query.fields) text += (&field == query.fields.data() ? "" : ", ") + field;
  text += " FROM " + query.object;
  std::string where = query.condition.empty() ? "" : "(" + query.condition + ")";
  const auto also = [&](const std::string& condition) {
    if (!condition.empty()) where += (where.empty() ? "" : " AND ") + condition;
  };
  // Nobody can say where a record without a time lies.
  if (!query.stamp.empty() && query.stamp != "SystemModstamp") also(query.stamp + " != null");
  also(behind(query, from));
  if (!where.empty()) text += " WHERE " + where;
  return text + " ORDER BY " + (query.stamp.empty() ? "" : query.stamp + ", ") + "Id";
}

}  // namespace muskrat::salesforce_source

#include "consumer/endpoints/mysql/comparison.hpp"

#include <algorithm>

namespace muskrat::mysql_target {
namespace {

const char* const expected = "`muskrat_verify`";

template <typename Each>
std::string joined(const std::vector<size_t>& columns, const char* between, Each each) {
  std::string text;
  for (const size_t column : columns) text += (text.empty() ? "" : between) + each(column);
  return text;
}

std::string names(const Target& target, const std::vector<size_t>& columns) {
  return joined(columns, ", ", [&](size_t column) { return target.columns[column].quoted; });
}

// Equal is what a delivery could not change: texts are the same characters, whatever the collation says.
std::string differs(const Column& column, bool mariadb) {
  const std::string x = "x." + column.quoted, t = "t." + column.quoted;
  switch (column.form) {
    case Column::Form::number:
    case Column::Form::bits:
    case Column::Form::time:
      return "NOT (" + x + " <=> " + t + ")";
    case Column::Form::json:  // MariaDB's is text, which may be spaced otherwise
      return mariadb ? "NOT (JSON_COMPACT(" + x + ") <=> JSON_COMPACT(" + t + "))" : "NOT (" + x + " <=> " + t + ")";
    default:
      return "NOT (CAST(" + x + " AS BINARY) <=> CAST(" + t + " AS BINARY))";
  }
}

std::string shown(const Column& column, const char* row) {
  const std::string value = row + column.quoted;
  if (column.form == Column::Form::bits) return "BIN(" + value + " + 0)";
  return column.form == Column::Form::bytes ? "TO_BASE64(" + value + ")" : "CAST(" + value + " AS CHAR)";
}

// Row comparisons are spelled out: the servers find no range in (a, b) > (1, 2).
std::string compared(const Target& target, const KeyTexts& bound, const Quote& quote, const std::vector<size_t>& key,
                     const std::string& beyond, const std::string& last) {
  std::string sql;
  for (size_t i = target.walk.size(); i-- > 0;) {
    const size_t column = target.walk[i];
    const auto at = static_cast<size_t>(std::find(key.begin(), key.end(), column) - key.begin());
    const std::string name = "t." + target.columns[column].quoted, value = quote(bound[at]);
    sql = sql.empty()
              ? name + last + value
              : "(" + name + beyond + "= " + value + " AND (" + name + beyond + " " + value + " OR " + sql + "))";
  }
  return sql;
}

}  // namespace

std::string expected_table(const Target& target, const std::vector<size_t>& columns) {
  return std::string("DROP TEMPORARY TABLE IF EXISTS ") + expected + "; CREATE TEMPORARY TABLE " + expected +
         " (PRIMARY KEY (muskrat_n)) ENGINE = InnoDB SELECT CAST(0 AS SIGNED) AS muskrat_n, " + names(target, columns) +
         " FROM " + target.quoted + " LIMIT 0";
}

std::string expected_insert(const Target& target, const std::vector<size_t>& columns) {
  return std::string("INSERT INTO ") + expected + " (muskrat_n, " + names(target, columns) + ") VALUES ";
}

std::string comparison_of(const sql::Route& route, const Target& target, const std::vector<size_t>& compared,
                          bool with_values, bool mariadb) {
  const std::string missing = "t." + target.columns[route.key.front()].quoted + " IS NULL";
  std::string answers, any = missing;
  for (const size_t column : compared) {
    const Column& made = target.columns[column];
    const std::string difference = differs(made, mariadb);
    answers += ", " + difference;
    any += " OR " + difference;
    if (with_values) answers += ", " + shown(made, "x.") + ", " + shown(made, "t.");
  }
  const std::string same = joined(route.key, " AND ", [&](size_t column) {
    return "t." + target.columns[column].quoted + " = x." + target.columns[column].quoted;
  });
  return "SELECT x.muskrat_n, " + missing + answers + " FROM " + expected + " AS x LEFT JOIN " + target.quoted +
         " AS t ON " + same + " WHERE " + any + " ORDER BY 1";
}

std::string keys_of(const Target& target, const KeyRange& range, int64_t most, const Quote& quote,
                    const std::vector<size_t>& key) {
  std::string where;
  if (!range.after.empty()) where = " WHERE " + compared(target, range.after, quote, key, " >", " > ");
  if (!range.upto.empty())
    where += (where.empty() ? " WHERE " : " AND ") + compared(target, range.upto, quote, key, " <", " <= ");
  const auto in_order = [&](size_t column) { return "t." + target.columns[column].quoted; };
  return "SELECT " + joined(key, ", ", [&](size_t column) { return shown(target.columns[column], "t."); }) + " FROM " +
         target.quoted + " AS t" + where + " ORDER BY " + joined(target.walk, ", ", in_order) + " LIMIT " +
         std::to_string(most);
}

std::string versions_of(const Target& target, const std::vector<size_t>& key, std::span<const KeyTexts> keys,
                        const Quote& quote) {
  std::string rows, all;
  for (const KeyTexts& one : keys) {
    std::string values;
    for (const std::string& text : one) values += (values.empty() ? "" : ", ") + quote(text);
    rows += (rows.empty() ? "(" : ", (") + values + ")";
  }
  for (const Column& column : target.columns)
    all += (all.empty() ? "" : ", ") + ("COALESCE(HEX(CAST(t." + column.quoted + " AS BINARY)), '-')");
  return "SELECT " + joined(key, ", ", [&](size_t column) { return shown(target.columns[column], "t."); }) +
         ", SHA2(CONCAT_WS('|', " + all + "), 256) FROM " + target.quoted + " AS t WHERE (" +
         joined(key, ", ", [&](size_t column) { return "t." + target.columns[column].quoted; }) + ") IN (" + rows + ")";
}

}  // namespace muskrat::mysql_target

#include "capture_mysql/value_sql.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace muskrat::capture_mysql {
namespace {

enum class Family {
  boolean,
  number,
  float_,
  double_,
  bits,
  text,
  binary,
  date,
  datetime,
  timestamp,
  time,
  json,
  plain,
  none
};

struct Known {
  std::string_view type;
  Family family;
};

constexpr size_t surely_fits = 1 << 20;
constexpr size_t grows_to = 6;  // a byte becomes six at most: \u001F

constexpr std::array known{
    Known{"tinyint", Family::number}, Known{"smallint", Family::number},   Known{"mediumint", Family::number},
    Known{"int", Family::number},     Known{"bigint", Family::number},     Known{"decimal", Family::number},
    Known{"year", Family::number},    Known{"float", Family::float_},      Known{"double", Family::double_},
    Known{"bit", Family::bits},       Known{"char", Family::text},         Known{"varchar", Family::text},
    Known{"tinytext", Family::text},  Known{"text", Family::text},         Known{"mediumtext", Family::text},
    Known{"longtext", Family::text},  Known{"enum", Family::text},         Known{"set", Family::text},
    Known{"binary", Family::binary},  Known{"varbinary", Family::binary},  Known{"tinyblob", Family::binary},
    Known{"blob", Family::binary},    Known{"mediumblob", Family::binary}, Known{"longblob", Family::binary},
    Known{"date", Family::date},      Known{"datetime", Family::datetime}, Known{"timestamp", Family::timestamp},
    Known{"time", Family::time},      Known{"json", Family::json},         Known{"uuid", Family::plain},
    Known{"inet4", Family::plain},    Known{"inet6", Family::plain},
};

Family family_of(const Column& c) {
  if (c.column_type == "tinyint(1)" || c.column_type == "bit(1)") return Family::boolean;
  const auto* found = std::find_if(known.begin(), known.end(), [&](const Known& k) { return k.type == c.data_type; });
  return found == known.end() ? Family::none : found->family;
}

// JSON's numbers begin with no zeros; as a text a YEAR has them too: 0000, or 07 of a YEAR(2).
bool zero_padded(const Column& c) {
  return c.data_type == "year" || c.column_type.find("zerofill") != std::string::npos;
}

std::string in_quotes(const std::string& sql) { return "CONCAT('\"', " + sql + ", '\"')"; }

// 2026-11-23T10:11:12.500000 → 2026-11-23T10:11:12.5
std::string without_zeros(const std::string& sql) {
  return "TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM " + sql + "))";
}

std::string iso(const std::string& moment, int fraction) {
  if (fraction == 0) return "DATE_FORMAT(" + moment + ", '%Y-%m-%dT%H:%i:%s')";
  return without_zeros("DATE_FORMAT(" + moment + ", '%Y-%m-%dT%H:%i:%s.%f')");
}

// The same of a DATETIME column, whose own text has a blank in the place of the T; DATE_FORMAT takes twice as long.
std::string iso_of_column(const std::string& ref, int fraction) {
  const std::string text = "INSERT(" + ref + ", 11, 1, 'T')";
  return fraction == 0 ? text : without_zeros(text);
}

// The stored instant, whatever the session's time zone: UNIX_TIMESTAMP reads it out of the column, and nothing goes
// through local time, which has hours twice. MySQL's AT TIME ZONE would cut fractions off, and knows 'UTC' only where
// the time zone tables are filled.
std::string utc(const std::string& ref) {
  return "(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(" + ref + ") SECOND)";
}

std::string text_sql(const Column& c, const std::string& ref) {
  const bool converted = c.charset != "utf8mb4" || c.data_type == "enum" || c.data_type == "set";
  return "JSON_QUOTE(" + (converted ? "CONVERT(" + ref + " USING utf8mb4)" : ref) + ")";
}

std::string bits_sql(const Column& c, const std::string& ref) {
  const size_t open = c.column_type.find('(');
  const std::string width = c.column_type.substr(open + 1, c.column_type.find(')') - open - 1);
  return in_quotes("LPAD(BIN(" + ref + " + 0), " + width + ", '0')");
}

std::string json_sql(const std::string& ref, bool mariadb) {
  if (!mariadb) return "CAST(" + ref + " AS CHAR CHARACTER SET utf8mb4)";
  // A longtext with a CHECK, which a session may switch off.
  return "IF(JSON_VALID(" + ref + "), JSON_COMPACT(" + ref + "), JSON_QUOTE(" + ref + "))";
}

std::string boolean_sql(const Column& c, const std::string& ref) {
  if (c.data_type == "bit") return "IF(" + ref + " + 0, 'true', 'false')";
  return "CASE " + ref + " WHEN 0 THEN 'false' WHEN 1 THEN 'true' ELSE CONCAT(" + ref + ") END";
}

std::string present_sql(const Column& c, const std::string& ref, bool mariadb) {
  switch (family_of(c)) {
    case Family::boolean:
      return boolean_sql(c, ref);
    case Family::number:
      return "CONCAT(" + ref + (zero_padded(c) ? " + 0" : "") + ")";
    case Family::float_:
      return "muskrat.float_text(" + ref + " + 0e0)";
    case Family::double_:
      return "muskrat.number_text(CONCAT(" + ref + " + 0e0), 15)";
    case Family::bits:
      return bits_sql(c, ref);
    case Family::text:
      return text_sql(c, ref);
    case Family::binary:
      return in_quotes("REPLACE(TO_BASE64(" + ref + "), CHAR(10 USING utf8mb4), '')");
    case Family::date:
      return in_quotes(ref);
    case Family::datetime:
      return in_quotes(iso_of_column(ref, c.fraction));
    case Family::timestamp:
      return "CONCAT('\"', " + iso(utc(ref), c.fraction) + ", 'Z\"')";
    case Family::time:
      return in_quotes(c.fraction == 0 ? ref : without_zeros(ref));
    case Family::json:
      return json_sql(ref, mariadb);
    case Family::plain:
      return in_quotes(ref);
    case Family::none:
      break;
  }
  throw Refused(column_problem(c, mariadb));
}

// What JSON writes as null. A zero date, 0000-00-00, is no date; MySQL in strict mode compares none with 0 as it is.
std::string absent_sql(const Column& c, const std::string& ref, bool mariadb) {
  const Family family = family_of(c);
  const bool may_be_zero = family == Family::date || family == Family::datetime || family == Family::timestamp;
  return ref + " IS NULL" + (may_be_zero ? " OR " + ref + (mariadb ? " = 0" : " + 0 = 0") : "");
}

size_t bytes_of_small(const Column& c) {
  if (c.data_type == "tinytext" || c.data_type == "tinyblob") return 255;
  return c.data_type == "enum" || c.data_type == "set" ? c.column_type.size() : 0;
}

}  // namespace

std::string column_problem(const Column& c, bool mariadb) {
  const std::string column = "column " + quote_identifier(c.name);
  if (family_of(c) == Family::none) {
    return column + " is of type " + c.data_type + ", which has no JSON form here; list the columns without it" +
           (mariadb ? " (a generated column can hold it as text, with ST_AsText for example)" : "");
  }
  if (c.generated && !mariadb) {
    return column +
           " is generated, and MySQL's triggers may not read such columns; do without it (what it is made of can be "
           "captured, and an endpoint's mapping can compute it again)";
  }
  return "";
}

std::string value_sql(const Column& c, const std::string& row, bool mariadb) {
  const std::string ref = row + "." + quote_identifier(c.name);
  return "IF(" + absent_sql(c, ref, mariadb) + ", 'null', " + present_sql(c, ref, mariadb) + ")";
}

std::string key_value_sql(const Column& c, const std::string& row, bool mariadb) {
  if (c.data_type != "decimal" || c.fraction == 0) return value_sql(c, row, mariadb);
  const std::string ref = row + "." + quote_identifier(c.name);
  return "IF(" + ref + " IS NULL, 'null', " + without_zeros("CONCAT(" + ref + (zero_padded(c) ? " + 0" : "") + ")") +
         ")";
}

std::string literal_sql(const Column& c, const std::string& row) {
  const std::string ref = row + "." + quote_identifier(c.name);
  switch (family_of(c)) {
    case Family::boolean:
    case Family::number:
    case Family::bits:
      return "CONCAT(" + ref + " + 0)";
    case Family::text:
      if (c.data_type == "enum" || c.data_type == "set") return "CONCAT(" + ref + " + 0)";
      return "CONCAT('_" + c.charset + " X''', HEX(" + ref + "), '''')";
    case Family::binary:
      return "CONCAT('X''', HEX(" + ref + "), '''')";
    case Family::date:
    case Family::datetime:
    case Family::timestamp:
    case Family::time:
    case Family::plain:
      return "CONCAT('''', " + ref + ", '''')";
    default:
      return "";
  }
}

std::string changed_sql(const Column& c) {
  const std::string before = "OLD." + quote_identifier(c.name), after = "NEW." + quote_identifier(c.name);
  const Family family = family_of(c);
  // Collations call 'a' and 'A' equal.
  if (family == Family::text || family == Family::json) {
    return "NOT (CAST(" + before + " AS BINARY) <=> CAST(" + after + " AS BINARY))";
  }
  return "NOT (" + before + " <=> " + after + ")";
}

// All of a row's other columns together have 65,535 bytes at most.
bool may_be_large(const Column& c) {
  constexpr std::array large{"text", "mediumtext", "longtext", "blob", "mediumblob", "longblob", "json"};
  return std::find(large.begin(), large.end(), c.data_type) != large.end();
}

std::string fits_sql(const std::vector<const Column*>& columns, size_t names, const std::string& row) {
  size_t rest =
      names * grows_to + size_t{65'535} * 10;  // a BIT's bytes become ten characters each; nothing else grows as much
  std::string lengths;
  for (const Column* c : columns) {
    rest += c->name.size() * 6 + 10 + bytes_of_small(*c) * grows_to;
    if (may_be_large(*c))
      lengths +=
          (lengths.empty() ? "" : " + ") + ("COALESCE(LENGTH(" + row + "." + quote_identifier(c->name)) + "), 0)";
  }
  if (rest >= surely_fits) return "FALSE";
  // What CONCAT makes beyond the packet is NULL, and the outbox takes none.
  const std::string packet = "@@max_allowed_packet >= " + std::to_string(surely_fits);
  return lengths.empty() ? packet
                         : packet + " AND " + lengths + " <= " + std::to_string((surely_fits - rest) / grows_to);
}

bool is_number(const Column& c) {
  const Family family = family_of(c);
  return family == Family::number || family == Family::boolean;
}

}  // namespace muskrat::capture_mysql

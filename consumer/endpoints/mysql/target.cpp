#include "consumer/endpoints/mysql/target.hpp"

#include <bitset>
#include <charconv>
#include <map>
#include <set>

#include "common/field_convert.hpp"
#include "common/json.hpp"
#include "common/mysql_json.hpp"

namespace muskrat::mysql_target {
namespace {

[[noreturn]] void refuse(const std::string& why) { throw Failure(Remedy::reconnect, why); }

Column::Form form_of(std::string_view type, bool json_checked) {
  if (type == "json" || json_checked) return Column::Form::json;
  if (type.ends_with("blob") || type.ends_with("binary")) return Column::Form::bytes;
  if (type == "datetime" || type == "timestamp") return Column::Form::time;
  if (type.ends_with("int") || type == "decimal" || type == "float" || type == "double") return Column::Form::number;
  if (type == "bit") return Column::Form::bits;
  return type.ends_with("text") || type.ends_with("char") ? Column::Form::text : Column::Form::plain;
}

struct Table {
  std::string database, name;
};

// As digits of 0 and 1: "10110", or the number 22.
std::optional<std::string> bits_of(const FieldValue& field, std::string& why) {
  uint64_t number = 0;
  const char* const end = field.text.data() + field.text.size();
  if (field.number) {
    const auto read = std::from_chars(field.text.data(), end, number);
    if (read.ec == std::errc() && read.ptr == end) {
      std::string bits = std::bitset<64>(number).to_string();
      return bits.substr(std::min(bits.find('1'), bits.size() - 1));
    }
  } else if (!field.text.empty() && field.text.find_first_not_of("01") == std::string::npos) {
    return field.text;
  }
  why = "neither bits, such as \"10110\", nor a whole number";
  return std::nullopt;
}

// "database.table", or a table of the connection's database.
Table find_table(mysql::Connection& connection, const std::string& written, Deadline deadline) {
  const size_t dot = written.find('.');
  const std::string database = dot == std::string::npos ? "" : written.substr(0, dot);
  const std::string name = dot == std::string::npos ? written : written.substr(dot + 1);
  const mysql::Param params[] = {database, name};
  const auto rows = connection.exec(
      "SELECT table_schema, table_name, engine FROM information_schema.tables WHERE table_schema = "
      "COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ?",
      params, deadline);
  if (rows.rows() == 0)
    refuse("table " + written + " does not exist in " + connection.place() +
           " (or this user may not see it); create it, deliveries go on by themselves");
  if (rows.text(0, 2) != "InnoDB")
    refuse("table " + written + " is not InnoDB: a batch could not be rolled back; ALTER TABLE … ENGINE = InnoDB");
  return {std::string(rows.text(0, 0)), std::string(rows.text(0, 1))};
}

std::map<std::string, Column> columns_of(mysql::Connection& connection, const Table& table, Deadline deadline) {
  const std::string whole =
      mysql::Connection::quote_identifier(table.database) + "." + mysql::Connection::quote_identifier(table.name);
  const std::set<std::string> json = mysql::json_checked_columns(connection, whole, deadline);
  const mysql::Param params[] = {table.database, table.name};
  const auto rows = connection.exec(
      "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = ? AND table_name = ?", params,
      deadline);
  std::map<std::string, Column> columns;
  for (int i = 0; i < rows.rows(); ++i) {
    const std::string name(rows.text(i, 0));
    columns[name] = {mysql::Connection::quote_identifier(name), form_of(rows.text(i, 1), json.contains(name)),
                     std::string(rows.text(i, 1))};
  }
  return columns;
}

// The key's columns in the order of the unique index that is over them and nothing else.
std::vector<size_t> unique_index(mysql::Connection& connection, const sql::Route& route, const Table& table,
                                 Deadline deadline) {
  std::map<std::string, size_t> key;
  std::string names;
  for (const size_t column : route.key) {
    key[route.fields.names()[column]] = column;
    names += (names.empty() ? "" : ", ") + route.fields.names()[column];
  }
  const mysql::Param params[] = {table.database, table.name};
  const auto rows = connection.exec(
      "SELECT index_name, column_name, sub_part IS NOT NULL OR column_name IS NULL FROM information_schema.statistics "
      "WHERE table_schema = ? AND table_name = ? AND non_unique = 0 ORDER BY index_name, seq_in_index",
      params, deadline);
  std::map<std::string, std::pair<std::vector<size_t>, bool>> fits;  // index → its columns; all the key's, and whole
  for (int i = 0; i < rows.rows(); ++i) {
    auto& [columns, good] = fits.try_emplace(std::string(rows.text(i, 0)), std::vector<size_t>(), true).first->second;
    const auto found = key.find(std::string(rows.text(i, 1)));
    good = good && found != key.end() && !rows.boolean(i, 2);
    if (good) columns.push_back(found->second);
  }
  for (const auto& [index, fit] : fits)
    if (fit.second && fit.first.size() == key.size()) return fit.first;
  refuse("table " + route.table + " has no unique index on (" + names + "), which the route's key needs; ALTER TABLE " +
         route.table + " ADD UNIQUE (" + names + "), or correct the key");
}

}  // namespace

std::string utc_time(const std::string& iso) {
  constexpr size_t date_alone = 10;
  const std::string utc = iso.size() > date_alone ? utc_timestamp(iso) : "";
  if (utc.empty()) return iso;
  return utc.substr(0, date_alone) + " " + utc.substr(date_alone + 1, utc.size() - date_alone - 2);
}

std::string Column::from_text(const std::string& literal) const {
  if (form == Form::bits) return "CAST(CONV(" + literal + ", 2, 10) AS UNSIGNED)";  // a text would be taken for bytes
  return form == Form::bytes ? "FROM_BASE64(" + literal + ")" : literal;
}

std::optional<std::string> Column::text_of(const FieldValue& field, std::string& why) const {
  const bool structured = field.json || field.number || field.boolean;
  if (form == Form::json) return structured ? field.text : json::quote(field.text);
  if (field.json && form != Form::text) {
    why = "a JSON array or object where the column takes a single value";
    return std::nullopt;
  }
  if (field.boolean && form != Form::text) return field.text == "true" ? "1" : "0";
  if (form == Form::bits) return bits_of(field, why);
  if (form == Form::bytes &&
      field.text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n") !=
          std::string::npos) {
    why = "not base64";  // FROM_BASE64 would make NULL of it
    return std::nullopt;
  }
  return form == Form::time ? utc_time(field.text) : field.text;
}

Target discover(mysql::Connection& connection, const sql::Route& route, Deadline deadline) {
  const Table table = find_table(connection, route.table, deadline);
  auto known = columns_of(connection, table, deadline);
  Target target;
  target.identity = table.database + "." + table.name;
  target.quoted =
      mysql::Connection::quote_identifier(table.database) + "." + mysql::Connection::quote_identifier(table.name);
  for (const std::string& name : route.fields.names()) {
    const auto found = known.find(name);
    if (found == known.end())
      refuse("table " + route.table + " has no column " + name + "; add it, or take it out of the route's columns");
    target.columns.push_back(found->second);
  }
  if (route.mode == sql::Route::Mode::upsert) target.walk = unique_index(connection, route, table, deadline);
  return target;
}

}  // namespace muskrat::mysql_target

#include "consumer/endpoints/postgres/target.hpp"

#include <map>

#include "consumer/endpoints/postgres/literals.hpp"

namespace muskrat::postgres {
namespace {

[[noreturn]] void refuse(const std::string& why) { throw Failure(Remedy::reconnect, why); }

std::string joined(const Route& route, const std::vector<size_t>& columns) {
  std::string text;
  for (const size_t column : columns) text += (text.empty() ? "" : ", ") + route.fields.names()[column];
  return text;
}

struct Found {
  std::string oid, schema, name;
};

Found find_table(pg::Connection& connection, const Route& route, Deadline deadline) {
  const std::vector<pg::Param> params{route.table};
  const auto rows = connection.exec(
      "SELECT c.oid::text, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
      "c.relnamespace WHERE c.oid = pg_catalog.to_regclass($1)",
      params, deadline);
  if (rows.rows() == 0)
    refuse("table " + route.table + " does not exist in " + connection.place() +
           " (or its schema may not be used by this role); create it, deliveries go on by themselves");
  return {std::string(rows.text(0, 0)), std::string(rows.text(0, 1)), std::string(rows.text(0, 2))};
}

Column::Form form_of(std::string_view type, std::string_view kind) {
  if (type == "json" || type == "jsonb") return Column::Form::json;
  if (type == "bytea") return Column::Form::bytes;
  if (kind == "r") return Column::Form::range;
  return kind == "m" ? Column::Form::multirange : Column::Form::plain;
}

Column::Equality equality_of(std::string_view letter) {
  if (letter == "j") return Column::Equality::as_jsonb;
  return letter == "t" ? Column::Equality::by_text : Column::Equality::by_operator;
}

std::map<std::string, Column> columns_of(pg::Connection& connection, const Found& table, Deadline deadline) {
  const std::vector<pg::Param> params{table.oid};
  // typmod -1 and not NULL: "bpchar" and not "character", which would mean one character.
  // A domain stands for its base type and an array for its elements, down to a type that is neither.
  const auto rows = connection.exec(
      "SELECT a.attname, pg_catalog.format_type(a.atttypid, -1), leaf.typname, leaf.typtype, leaf.is_array, "
      "pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN leaf.typname = 'json' AND NOT leaf.is_array THEN 'j' "
      "WHEN leaf.typtype = 'c' OR (leaf.typcategory IN ('S', 'T') AND NOT leaf.is_array) THEN 't' WHEN leaf.typtype IN "
      "('e', 'r', 'm') OR leaf.typname = 'cidr' OR leaf.typcategory = 'S' OR EXISTS (SELECT FROM pg_catalog.pg_opclass "
      "o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod WHERE m.amname = 'btree' AND o.opcdefault AND o.opcintype = "
      "leaf.oid) THEN 'o' ELSE 't' END FROM "
      "pg_catalog.pg_attribute a CROSS JOIN LATERAL (WITH RECURSIVE part (oid, depth, is_array) AS (SELECT a.atttypid, "
      "0, false UNION ALL SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END, p.depth + 1, "
      "p.is_array OR t.typtype <> 'd' FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.oid WHERE t.typtype = 'd' OR "
      "(t.typcategory = 'A' AND t.typelem <> 0)) SELECT t.oid, t.typname, t.typtype, t.typcategory, p.is_array FROM "
      "part p JOIN "
      "pg_catalog.pg_type t ON t.oid = p.oid ORDER BY p.depth DESC LIMIT 1) leaf WHERE a.attrelid = $1::oid AND "
      "a.attnum > 0 AND NOT a.attisdropped",
      params, deadline);
  std::map<std::string, Column> columns;
  for (int i = 0; i < rows.rows(); ++i) {
    const std::string name(rows.text(i, 0));
    Column& column = columns[name];
    column.quoted = connection.quote_identifier(name);
    column.type = rows.text(i, 1);
    column.form = form_of(rows.text(i, 2), rows.text(i, 3));
    column.array = rows.boolean(i, 4);
    column.stored = rows.text(i, 5);
    column.equality = equality_of(rows.text(i, 6));
  }
  return columns;
}

void check_unique_index(pg::Connection& connection, const Route& route, Deadline deadline) {
  std::vector<std::string> key;
  for (const size_t column : route.key) key.push_back(route.fields.names()[column]);
  if (has_unique_index(connection, route.table, key, deadline)) return;
  const std::string columns = joined(route, route.key);
  refuse("table " + route.table + " has no unique index on (" + columns +
         "), which the route's key needs; CREATE UNIQUE INDEX ON " + route.table + " (" + columns +
         "), or correct the key");
}

}  // namespace

bool has_unique_index(pg::Connection& connection, const std::string& table, const std::vector<std::string>& columns,
                      Deadline deadline) {
  ArrayLiteral key;
  for (const std::string& column : columns) key.add(column);
  const std::string names = key.finish();
  const std::vector<pg::Param> params{table, names};
  const auto rows = connection.exec(
      "SELECT 1 FROM pg_catalog.pg_index x WHERE x.indrelid = pg_catalog.to_regclass($1) AND x.indisunique AND "
      "x.indimmediate AND "
      "x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL AND (SELECT pg_catalog.array_agg(a.attname::text "
      "ORDER BY "
      "a.attname::text) FROM pg_catalog.pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum = ANY "
      "((x.indkey::int2[])[0:x.indnkeyatts - 1])) = (SELECT pg_catalog.array_agg(k ORDER BY k) FROM "
      "pg_catalog.unnest($2::text[]) k)",
      params, deadline);
  return rows.rows() > 0;
}

std::vector<size_t> index_order(pg::Connection& connection, const Route& route, Deadline deadline) {
  ArrayLiteral key;
  for (const size_t column : route.key) key.add(route.fields.names()[column]);
  const std::string names = key.finish();
  const std::vector<pg::Param> params{route.table, names};
  const auto rows = connection.exec(
      "SELECT k.position - 1 FROM (SELECT x.indkey::int2[] AS attnums, x.indnkeyatts FROM pg_catalog.pg_index x WHERE "
      "x.indrelid = pg_catalog.to_regclass($1) AND x.indisunique AND x.indimmediate AND x.indisvalid AND x.indpred IS "
      "NULL AND x.indexprs IS NULL AND x.indnkeyatts = pg_catalog.cardinality($2::text[]) AND NOT EXISTS (SELECT FROM "
      "pg_catalog.pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts "
      "- 1]) AND NOT a.attname::text = ANY ($2::text[])) ORDER BY x.indisprimary DESC, x.indexrelid LIMIT 1) i CROSS "
      "JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) n CROSS JOIN LATERAL (SELECT "
      "pg_catalog.array_position($2::text[], a.attname::text) AS position FROM pg_catalog.pg_attribute a WHERE "
      "a.attrelid = pg_catalog.to_regclass($1) AND a.attnum = i.attnums[n]) k ORDER BY n",
      params, deadline);
  std::vector<size_t> order;
  order.reserve(static_cast<size_t>(rows.rows()));
  for (int i = 0; i < rows.rows(); ++i) order.push_back(route.key[static_cast<size_t>(rows.int64(i, 0))]);
  return order;
}

std::string Column::from_text(const std::string& expression) const {
  if (form == Form::bytes && !array) return "pg_catalog.decode(" + expression + ", 'base64')";
  return expression + "::" + type;
}

std::string Column::as_stored(const std::string& expression) const {
  const std::string value = from_text(expression);
  return stored == type ? value : "(" + value + ")::" + stored;
}

std::string Column::differs(const std::string& row, const std::string& expression) const {
  const std::string found = row + "." + quoted, expected = as_stored(expression);
  const auto as = [](const std::string& value, const char* what) { return "(" + value + ")::" + what; };
  const std::string texts = as(found, "pg_catalog.text") + " COLLATE \"C\" IS DISTINCT FROM " +
                            as(expected, "pg_catalog.text") + " COLLATE \"C\"";
  if (equality == Equality::by_text) return "(" + texts + ")";
  if (equality == Equality::by_operator) return "(" + found + " IS DISTINCT FROM " + expected + ")";
  // The same bytes need no look inside, which not every json survives.
  return "(CASE WHEN " + texts + " THEN " + as(found, "pg_catalog.jsonb") + " IS DISTINCT FROM " +
         as(expected, "pg_catalog.jsonb") + " ELSE false END)";
}

std::optional<std::string> Column::text_of(const FieldValue& field, std::string& why) const {
  if (field.text.find('\0') != std::string::npos) {
    why = "a NUL character, which PostgreSQL cannot hold";
    return std::nullopt;
  }
  const bool structured = field.json || field.number || field.boolean;
  if (form == Form::json && !array) return structured ? field.text : json::quote(field.text);
  const bool as_it_is = !array && (form == Form::plain || form == Form::bytes);
  if (!field.json || as_it_is) return field.text;
  const auto document = json::Document::parse(field.text, why);
  if (!document) return std::nullopt;
  return structured_text(document->root(), why);
}

std::optional<std::string> Column::structured_text(const json::Value& value, std::string& why) const {
  if (array && value.type() != json::Type::array) {
    why = "a JSON object where the column is an array";
    return std::nullopt;
  }
  const auto each = [this](const json::Value& element) { return element_text(element); };
  auto text = array ? array_literal(value, each) : element_text(value);
  if (!text) why = array ? "an element is not " + kind() : "not " + kind();
  if (!text || text->find('\0') == std::string::npos) return text;
  why = "a NUL character, which PostgreSQL cannot hold";
  return std::nullopt;
}

std::optional<std::string> Column::element_text(const json::Value& value) const {
  switch (form) {
    case Form::json:
      return value.dump();
    case Form::bytes:
      return bytes_literal(value);
    case Form::range:
      return range_literal(value);
    case Form::multirange:
      return multirange_literal(value);
    case Form::plain:
      break;
  }
  return value.scalar_text();
}

std::string Column::kind() const {
  if (form == Form::bytes) return "base64";
  return form == Form::range ? "a range" : "a multirange";
}

Target discover(pg::Connection& connection, const Route& route, Deadline deadline) {
  const Found table = find_table(connection, route, deadline);
  auto known = columns_of(connection, table, deadline);
  Target target;
  target.identity = table.schema + "." + table.name;
  target.quoted = connection.quote_identifier(table.schema) + "." + connection.quote_identifier(table.name);
  for (const std::string& name : route.fields.names()) {
    const auto found = known.find(name);
    if (found == known.end())
      refuse("table " + route.table + " has no column " + name + "; add it, or take it out of the route's columns");
    target.columns.push_back(found->second);
  }
  if (route.mode == Route::Mode::upsert) check_unique_index(connection, route, deadline);
  return target;
}

}  // namespace muskrat::postgres

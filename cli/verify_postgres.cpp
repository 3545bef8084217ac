#include "cli/verify_postgres.hpp"

#include <algorithm>

#include "cli/captured.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/refusal.hpp"
#include "common/json.hpp"
#include "consumer/endpoints/postgres/literals.hpp"

namespace muskrat::cli {
namespace {

constexpr milliseconds chunk_time = std::chrono::minutes(5);

[[noreturn]] void explain(const pg::SqlError& error, const std::string& place) {
  explain_refusal(error, place, "verify",
                  "verify needs the role muskrat_attach and SELECT on the table, and --repair its owner's rights: name "
                  "such a user with --dsn");
}

KeyTexts texts_of(const std::string& json_array) {
  std::string why;
  KeyTexts texts;
  const auto document = json::Document::parse(json_array, why);
  for (size_t i = 0; document && i < document->root().size(); ++i) texts.emplace_back(document->root().at(i).string());
  return texts;
}

std::string json_array(const KeyTexts& texts) {
  std::string array = "[";
  for (const std::string& text : texts) array += (array.size() > 1 ? "," : "") + json::quote(text);
  return array + "]";
}

// One array a column, as texts.
std::vector<std::string> arrays_of(std::span<const KeyTexts> keys, size_t columns) {
  std::vector<postgres::ArrayLiteral> literals(columns);
  for (const KeyTexts& key : keys)
    for (size_t c = 0; c < columns; ++c) literals[c].add(key[c]);
  std::vector<std::string> arrays;
  arrays.reserve(columns);
  for (postgres::ArrayLiteral& literal : literals) arrays.push_back(literal.finish());
  return arrays;
}

// "unnest($1::text[]), …" as i(k1, …, n)
std::string unnested(size_t columns) {
  std::string arrays, names;
  for (size_t c = 1; c <= columns; ++c) {
    arrays += (c > 1 ? ", " : "") + ("pg_catalog.unnest($" + std::to_string(c) + "::text[])");
    names += "k" + std::to_string(c) + ", ";
  }
  return "ROWS FROM (" + arrays + ") WITH ORDINALITY AS i(" + names + "n)";
}

bool among(const std::string& type, std::initializer_list<const char*> types) {
  return std::any_of(types.begin(), types.end(), [&](const char* one) { return type == one; });
}

// Of the types whose order is the same in every database, the one to which they can be cast; else "".
std::string ordered_family_of(const std::string& type) {
  if (among(type, {"smallint", "integer", "bigint"})) return "bigint";
  const bool ordered =
      among(type, {"uuid", "numeric", "date", "timestamp with time zone", "timestamp without time zone", "boolean"});
  return ordered ? type : "";
}

// In which family of types a value's text means the same on both sides; "" for types that are in none.
std::string family_of(const std::string& type) {
  return among(type, {"text", "character varying"}) ? "text" : ordered_family_of(type);
}

// In which family equal values have equal hashes, and values that a delivery would write otherwise other ones.
std::string hashed_family_of(const std::string& type) {
  const bool hashed = among(type, {"jsonb", "bytea", "real", "double precision", "time without time zone", "inet"});
  return hashed ? type : family_of(type);
}

}  // namespace

PgVerifySource::PgVerifySource(const Component& source, const std::string& dsn, const std::string& table,
                               const std::string& attachment)
    : source_(source), db_(open_source(source, dsn)), place_(db_.place()) {
  // Lookups of a few hundred keys go by index, whatever the statistics say.
  db_.exec(
      "SET jit = off; SET default_transaction_isolation = 'read committed'; SET DateStyle = 'ISO, YMD'; SET "
      "IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'; SET "
      "max_parallel_workers_per_gather = 0; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan "
      "= off; SET enable_bitmapscan = off; SET statement_timeout = '5min'",
      Deadline::in(answer_time));
  read_plan(table, attachment);
}

pg::Result PgVerifySource::ask(const std::string& sql, std::span<const pg::Param> params) {
  try {
    return db_.exec_prepared(sql, params, Deadline::in(chunk_time));
  } catch (const pg::SqlError& error) {
    explain(error, place_);
  }
}

void PgVerifySource::read_plan(const std::string& table, const std::string& attachment) {
  const std::vector<pg::Param> params{table, attachment.empty() ? pg::Param() : pg::Param(attachment)};
  const pg::Result rows = ask(
      "SELECT table_oid, table_name, partitioned, table_rows, attachment_name, object, words, coalesce(on_update, ''), "
      "coalesce(on_delete, ''), columns, conditional, pg_catalog.array_to_json(key_columns) FROM "
      "muskrat.verify_plan($1, $2)",
      params);
  for (int i = 0; i < rows.rows(); ++i) {
    const auto text = [&](int column) { return std::string(rows.text(i, column)); };
    oid_ = text(0);
    plan_.table = text(1);
    partitioned_ = rows.boolean(i, 2);
    plan_.rows = rows.int64(i, 3);
    plan_.key = texts_of(text(11));
    plan_.parts.push_back({text(4), text(5), text(6), text(7), text(8), rows.boolean(i, 10), {}});
    plan_.parts.back().columns = captured_columns(db_, plan_.table, text(9));
  }
  for (const std::string& column : plan_.key) {
    const std::vector<pg::Param> names{oid_, column};
    const pg::Result type = ask(
        "SELECT pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(y.typname) FROM "
        "pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid JOIN pg_catalog.pg_namespace s ON "
        "s.oid = y.typnamespace WHERE a.attrelid = $1::oid AND a.attname = $2",
        names);
    key_types_.emplace_back(type.text(0, 0));
  }
}

void PgVerifySource::keep(const std::function<bool(const VerifyPlan::Part&)>& meant) {
  std::erase_if(plan_.parts, [&](const VerifyPlan::Part& part) { return !meant(part); });
}

// ---- rows as events ----

// `rows` selects leaf, place, version and the key's texts k1, …; each attachment's body comes beside them. OFFSET 0
// keeps the composite from being computed once for each of its columns.
std::string PgVerifySource::row_sql(const std::string& rows) const {
  std::string told, bodies, keys;
  for (size_t p = 0; p < plan_.parts.size(); ++p) {
    const std::string name = "e" + std::to_string(p);
    told += ", muskrat.row_as_event(r.leaf, r.place, " + db_.quote_literal(plan_.parts[p].name) + ") AS " + name;
    bodies += ", (t." + name + ").body, (t." + name + ").omitted";
  }
  for (size_t k = 1; k <= plan_.key.size(); ++k) keys += ", t.k" + std::to_string(k);
  return "SELECT t.version" + keys + bodies + " FROM (SELECT r.*" + told + " FROM (" + rows + ") AS r OFFSET 0) AS t";
}

namespace {

template <typename Each>
std::string listed_columns(const std::vector<std::string>& columns, Each each) {
  std::string text;
  for (size_t c = 0; c < columns.size(); ++c) text += (c > 0 ? ", " : "") + each(c);
  return text;
}

}  // namespace

// "w.a, w.b"; with a cast also its name: "w.a::text AS k1, …"
std::string PgVerifySource::key_list(const char* cast) const {
  return listed_columns(plan_.key, [&](size_t c) {
    const std::string name = "w." + db_.quote_identifier(plan_.key[c]);
    return *cast == 0 ? name : name + cast + " AS k" + std::to_string(c + 1);
  });
}

std::string PgVerifySource::in_range(const KeyRange& range, std::vector<pg::Param>& params) const {
  std::string where;
  const auto bound = [&](const KeyTexts& key, const char* compare) {
    if (key.empty()) return;
    const std::string values = listed_columns(plan_.key, [&](size_t c) {
      params.emplace_back(key[c]);
      return "$" + std::to_string(params.size()) + "::text::" + key_types_[c];
    });
    where += (where.empty() ? " WHERE (" : " AND (") + key_list("") + ") " + compare + " (" + values + ")";
  };
  bound(range.after, ">");
  bound(range.upto, "<=");
  return where;
}

std::string PgVerifySource::again_sql() const {
  std::string same;
  for (size_t c = 0; c < plan_.key.size(); ++c)
    same += (c > 0 ? " AND w." : "w.") + db_.quote_identifier(plan_.key[c]) + " = i.k" + std::to_string(c + 1) +
            "::" + key_types_[c];
  return row_sql("SELECT w.tableoid AS leaf, w.ctid AS place, w.xmin::text AS version, " + key_list("::text") +
                 " FROM " + unnested(plan_.key.size()) + " JOIN " + relation() + " AS w ON " + same);
}

SourceRow PgVerifySource::read(const pg::Result& rows, int i) const {
  SourceRow row;
  row.version = rows.text(i, 0);
  int column = 1;
  for (size_t k = 0; k < plan_.key.size(); ++k) row.key.emplace_back(rows.text(i, column++));
  row.shown = json_array(row.key);
  for (size_t p = 0; p < plan_.parts.size(); ++p, column += 2) {
    row.bodies.emplace_back();
    if (!rows.null(i, column))
      row.bodies.back() = SourceRow::Body{std::string(rows.text(i, column)), std::string(rows.text(i, column + 1))};
  }
  return row;
}

int64_t PgVerifySource::walk(const KeyRange& range, int64_t most, const std::function<void(SourceRow&&)>& row) {
  std::vector<pg::Param> params;
  const std::string limit = std::to_string(most), where = in_range(range, params);
  params.emplace_back(limit);
  const std::string rows = "SELECT w.tableoid AS leaf, w.ctid AS place, w.xmin::text AS version, " +
                           key_list("::text") + " FROM " + relation() + " AS w" + where + " ORDER BY " + key_list("") +
                           " LIMIT $" + std::to_string(params.size()) + "::bigint";
  try {
    return db_.stream(
        row_sql(rows), params, [&](const pg::Result& one) { row(read(one, 0)); }, Deadline::in(chunk_time));
  } catch (const pg::SqlError& error) {
    explain(error, place_);
  }
}

KeyTexts PgVerifySource::range_end(const KeyTexts& after, int64_t rows) {
  std::vector<pg::Param> params;
  const KeyRange behind{after, {}};
  const std::string offset = std::to_string(rows - 1), where = in_range(behind, params);
  params.emplace_back(offset);
  const pg::Result row = ask("SELECT " + key_list("::text") + " FROM " + relation() + " AS w" + where + " ORDER BY " +
                                 key_list("") + " OFFSET $" + std::to_string(params.size()) + "::bigint LIMIT 1",
                             params);
  KeyTexts key;
  for (int c = 0; row.rows() > 0 && c < row.columns(); ++c) key.emplace_back(row.text(0, c));
  return key;
}

RangeDigest PgVerifySource::digest(const Finder& columns, const KeyRange& range) {
  std::vector<pg::Param> params;
  const std::string values = listed_columns(columns.columns, [&](size_t c) {
    return "w." + db_.quote_identifier(columns.columns[c]) + "::" + columns.types[c];
  });
  const std::string where = in_range(range, params);
  const std::string sum = "pg_catalog.sum(pg_catalog.hash_record_extended(ROW(" + values + "), 0))";
  const pg::Result row = ask("SELECT pg_catalog.count(*), " + sum + " FROM " + relation() + " AS w" + where, params);
  return {row.int64(0, 0), std::string(row.text(0, 1))};
}

std::vector<SourceRow> PgVerifySource::again(std::span<const KeyTexts> keys) {
  const std::vector<std::string> arrays = arrays_of(keys, plan_.key.size());
  const std::vector<pg::Param> params(arrays.begin(), arrays.end());
  const pg::Result rows = ask(again_sql(), params);
  std::vector<SourceRow> found;
  found.reserve(static_cast<size_t>(rows.rows()));
  for (int i = 0; i < rows.rows(); ++i) found.push_back(read(rows, i));
  return found;
}

// ---- rows by what an endpoint has ----

std::string PgVerifySource::type_of(const std::string& column) {
  const std::vector<pg::Param> params{oid_, column};
  const pg::Result rows =
      ask("SELECT pg_catalog.format_type(a.atttypid, -1) FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::oid AND "
          "a.attname = $2 AND NOT a.attisdropped",
          params);
  return rows.rows() == 0 ? "" : std::string(rows.text(0, 0));
}

bool PgVerifySource::key_has_one_order() {
  return std::none_of(plan_.key.begin(), plan_.key.end(),
                      [&](const std::string& column) { return ordered_family_of(type_of(column)).empty(); });
}

std::optional<Finder> PgVerifySource::digestible(const std::vector<std::string>& columns,
                                                 const std::vector<std::string>& endpoint_types) {
  if (!key_has_one_order()) return std::nullopt;
  Finder finder{columns, {}};
  for (size_t c = 0; c < columns.size(); ++c) {
    finder.types.push_back(hashed_family_of(type_of(columns[c])));
    if (finder.types.back().empty() || finder.types.back() != hashed_family_of(endpoint_types[c])) return std::nullopt;
  }
  return finder;
}

std::optional<Finder> PgVerifySource::finder(const std::vector<std::string>& columns,
                                             const std::vector<std::string>& endpoint_types, std::string& why) {
  Finder finder;
  for (size_t c = 0; c < columns.size(); ++c) {
    const std::string type = type_of(columns[c]), family = family_of(type);
    if (family.empty() || family != family_of(endpoint_types[c])) {
      why = "its key comes from the column " + columns[c] + " of type " + type + " and is " + endpoint_types[c] +
            ", so a key of the endpoint cannot be looked up in the source for sure";
      return std::nullopt;
    }
    finder.columns.push_back(columns[c]);
    finder.types.push_back(family);
  }
  postgres::ArrayLiteral literal;
  for (const std::string& column : columns) literal.add(column);
  const std::string list = literal.finish();
  const std::vector<pg::Param> params{oid_, list};
  const pg::Result indexed = ask(
      "SELECT 1 FROM pg_catalog.pg_index x WHERE x.indrelid = $1::oid AND x.indisvalid AND x.indpred IS NULL AND "
      "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = x.indrelid AND a.attname::text = "
      "ANY ($2::text[]) AND a.attnum = ANY ((x.indkey::int2[])[0:pg_catalog.cardinality($2::text[]) - 1])) = "
      "pg_catalog.cardinality($2::text[]) LIMIT 1",
      params);
  if (indexed.rows() > 0) return finder;
  why =
      "its key comes from columns of " + plan_.table + " that no index begins with, so each look would read the table";
  return std::nullopt;
}

// " AND (…)": an attachment means the row. "" where they mean every row.
std::string PgVerifySource::means(const std::string& alias) const {
  std::string some;
  for (const VerifyPlan::Part& part : plan_.parts) {
    if (!part.conditional) return "";
    some += (some.empty() ? "" : " OR ") + ("(muskrat.row_as_event(" + alias + ".tableoid, " + alias + ".ctid, " +
                                            db_.quote_literal(part.name) + ")).body IS NOT NULL");
  }
  return " AND (" + some + ")";
}

std::vector<bool> PgVerifySource::absent(const Finder& finder, std::span<const KeyTexts> values) {
  std::string same;
  for (size_t c = 0; c < finder.columns.size(); ++c)
    same += (c > 0 ? " AND w." : "w.") + db_.quote_identifier(finder.columns[c]) + " = i.k" + std::to_string(c + 1) +
            "::" + finder.types[c];
  const std::vector<std::string> arrays = arrays_of(values, finder.columns.size());
  const std::vector<pg::Param> params(arrays.begin(), arrays.end());
  const pg::Result rows = ask("SELECT i.n FROM " + unnested(finder.columns.size()) + " WHERE NOT EXISTS (SELECT FROM " +
                                  relation() + " AS w WHERE " + same + means("w") + ")",
                              params);
  std::vector<bool> absent(values.size());
  for (int i = 0; i < rows.rows(); ++i) absent[static_cast<size_t>(rows.int64(i, 0) - 1)] = true;
  return absent;
}

// ---- what is under way, and mending ----

std::string PgVerifySource::position() {
  return std::string(ask("SELECT pg_catalog.pg_current_snapshot()::text", {}).text(0, 0));
}

Passed PgVerifySource::passed(const std::string& position) {
  const std::vector<pg::Param> params{position};
  const pg::Result row = ask("SELECT passed, held, relay FROM muskrat.verify_passed($1::text::pg_snapshot)", params);
  return {row.boolean(0, 0), row.int64(0, 1), row.boolean(0, 2)};
}

std::string PgVerifySource::repair(const std::string& endpoint, std::span<const KeyTexts> keys) {
  postgres::ArrayLiteral attachments, rows;
  for (const VerifyPlan::Part& part : plan_.parts) attachments.add(part.name);
  for (const KeyTexts& key : keys) {
    postgres::ArrayLiteral one;
    for (const std::string& text : key) one.add(text);
    rows.add(one.finish());
  }
  const std::string names = attachments.finish(), texts = rows.finish();
  const std::vector<pg::Param> params{oid_, names, endpoint, texts};
  const pg::Result fates =
      ask("SELECT pg_catalog.array_to_string(muskrat.verify_repair($1::oid, $2::text[], $3, $4::text[]), '')", params);
  return std::string(fates.text(0, 0));
}

}  // namespace muskrat::cli

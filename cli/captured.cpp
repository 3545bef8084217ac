#include "cli/captured.hpp"

#include <algorithm>
#include <map>

#include "cli/context.hpp"
#include "common/json.hpp"

namespace muskrat::cli {
namespace {

// Types that every PostgreSQL has keep their name and length. What only this database has becomes what its JSON form
// goes into: a domain its base type, an enum text, a composite jsonb.
constexpr const char* columns_sql = R"(
SELECT a.attname,
       CASE WHEN leaf.typtype = 'c' THEN 'jsonb'
            WHEN leaf.typtype = 'e' THEN CASE WHEN is_array THEN 'text[]' ELSE 'text' END
            WHEN leaf.typtype = 'd' THEN 'jsonb'
            WHEN leaf.typnamespace = 'pg_catalog'::pg_catalog.regnamespace THEN pg_catalog.format_type(base.oid, base.typmod)
            ELSE 'text' END,
       COALESCE(a.attnum = ANY (x.indkey), false)
  FROM pg_catalog.pg_attribute a
 CROSS JOIN LATERAL (WITH RECURSIVE d (oid, typmod, depth) AS (
           SELECT a.atttypid, a.atttypmod, 0
           UNION ALL
           SELECT t.typbasetype, t.typtypmod, d.depth + 1 FROM d JOIN pg_catalog.pg_type t ON t.oid = d.oid WHERE t.typtype = 'd')
       SELECT oid, typmod FROM d ORDER BY depth DESC LIMIT 1) base
  JOIN pg_catalog.pg_type t ON t.oid = base.oid
 CROSS JOIN LATERAL (SELECT t.typcategory = 'A' AND t.typelem <> 0 AS is_array) form
  JOIN pg_catalog.pg_type leaf ON leaf.oid = CASE WHEN is_array THEN t.typelem ELSE t.oid END
  LEFT JOIN pg_catalog.pg_index x ON x.indrelid = a.attrelid AND x.indisprimary
 WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
 ORDER BY a.attnum)";

constexpr const char* attachments_sql = R"(
SELECT relation::text, object, columns, on_insert, on_update, on_delete
  FROM muskrat.attached() WHERE columns IS NOT NULL ORDER BY 1, 2, name)";

// Reads the list that muskrat.attach() was given: names, {"nested": [names]}, {"renamed": "column"}.
class Members {
 public:
  Members(const std::vector<TableColumn>& columns, CapturedTable& into) : columns_(columns), into_(into) {}

  void read(const std::string& list) {
    if (list == "*") {
      for (const TableColumn& column : columns_) add(column.name, column.name);
      return;
    }
    std::string why;
    const auto document = json::Document::parse(list, why);
    if (document) walk(document->root(), "");
  }
  // Of the primary key's columns that are captured, by column.
  const std::map<std::string, std::string>& key_paths() const { return key_paths_; }

 private:
  void walk(const json::Value& list, const std::string& prefix) {
    for (size_t i = 0; i < list.size(); ++i) {
      const json::Value item = list.at(i);
      if (item.type() == json::Type::string) {
        add(prefix + std::string(item.string()), item.string());
        continue;
      }
      for (size_t m = 0; m < item.size(); ++m) member(item.member(m), prefix + std::string(item.member_name(m)));
    }
  }

  void member(const json::Value& value, const std::string& path) {
    value.type() == json::Type::array ? walk(value, path + ".") : add(path, value.string());
  }

  void add(const std::string& path, std::string_view column) {
    const auto found = std::find_if(columns_.begin(), columns_.end(),
                                    [&](const TableColumn& candidate) { return candidate.name == column; });
    if (found == columns_.end()) return;  // a column that is gone: muskrat attached says so
    if (found->primary) key_paths_.emplace(found->name, path);
    const auto known = std::any_of(into_.members.begin(), into_.members.end(),
                                   [&](const CapturedMember& member) { return member.path == path; });
    if (!known) into_.members.push_back({path, found->type, found->name});
  }

  const std::vector<TableColumn>& columns_;
  CapturedTable& into_;
  std::map<std::string, std::string> key_paths_;
};

void read_attachment(const pg::Result& rows, int row, const std::vector<TableColumn>& columns, CapturedTable& table) {
  Members members(columns, table);
  members.read(std::string(rows.text(row, 2)));
  for (int word = 3; word <= 5; ++word) {
    if (rows.null(row, word)) continue;
    const std::string routing_key = table.object + "." + std::string(rows.text(row, word));
    if (std::find(table.routing_keys.begin(), table.routing_keys.end(), routing_key) == table.routing_keys.end())
      table.routing_keys.push_back(routing_key);
  }
  const auto primary = static_cast<size_t>(
      std::count_if(columns.begin(), columns.end(), [](const TableColumn& column) { return column.primary; }));
  if (!table.key.empty() || members.key_paths().size() != primary) return;
  for (const auto& [column, path] : members.key_paths()) table.key.push_back(path);
}

}  // namespace

std::optional<std::string> CapturedTable::type_at(std::string_view path) const {
  const std::string inside = std::string(path) + ".";
  for (const CapturedMember& member : members) {
    if (member.path == path) return member.type;
    if (member.path.starts_with(inside)) return "jsonb";
  }
  return std::nullopt;
}

std::map<std::string, std::string> captured_columns(pg::Connection& source, const std::string& table,
                                                    const std::string& list) {
  CapturedTable captured;
  const std::vector<TableColumn> columns = table_columns(source, table);
  Members(columns, captured).read(list);
  std::map<std::string, std::string> by_path;
  for (const CapturedMember& member : captured.members) by_path.emplace(member.path, member.column);
  return by_path;
}

std::vector<TableColumn> table_columns(pg::Connection& db, const std::string& table) {
  const pg::Param param = table;
  const pg::Result rows = db.exec(columns_sql, std::span<const pg::Param>(&param, 1), Deadline::in(answer_time));
  std::vector<TableColumn> columns;
  columns.reserve(static_cast<size_t>(rows.rows()));
  for (int i = 0; i < rows.rows(); ++i)
    columns.push_back({std::string(rows.text(i, 0)), std::string(rows.text(i, 1)), rows.boolean(i, 2)});
  return columns;
}

std::vector<CapturedTable> captured_tables(pg::Connection& source) {
  const pg::Result rows = source.exec(attachments_sql, Deadline::in(answer_time));
  std::vector<CapturedTable> tables;
  std::vector<TableColumn> columns;
  for (int i = 0; i < rows.rows(); ++i) {
    const std::string relation(rows.text(i, 0)), object(rows.text(i, 1));
    if (tables.empty() || tables.back().relation != relation) columns = table_columns(source, relation);
    if (tables.empty() || tables.back().relation != relation || tables.back().object != object) {
      tables.emplace_back();
      tables.back().relation = relation;
      tables.back().object = object;
    }
    read_attachment(rows, i, columns, tables.back());
  }
  return tables;
}

}  // namespace muskrat::cli

#include "capture_mysql/generator.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "capture_mysql/body_sql.hpp"
#include "capture_mysql/condition.hpp"
#include "capture_mysql/value_sql.hpp"
#include "common/event.hpp"

namespace muskrat::capture_mysql {
namespace {

using Columns = std::vector<const Column*>;

// The line of a column in columns_seen; the name comes first and is quoted, so that it can be read back.
std::string seen_line(const Column& c) {
  return quote_identifier(c.name) + " " + c.column_type + (c.charset.empty() ? "" : " " + c.charset);
}

std::string name_in_line(const std::string& line) {
  std::string name;
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '`' && (++i >= line.size() || line[i] != '`')) break;
    name += line[i];
  }
  return name;
}

// FNV-1a: tells definitions apart, keeps no secret.
std::string hash_of(const std::string& text) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  char hex[17];
  (void)std::snprintf(hex, sizeof hex, "%016" PRIx64, hash);
  return hex;
}

class Generator {
 public:
  Generator(const Table& table, const Options& options)
      : table_(table), options_(options), members_(body_members(table, options.columns)), body_(columns_of(members_)) {
    check_words();
    key_ = named(options.key.empty() ? table.primary_key : options.key, "key");
    if (key_.empty()) {
      throw Refused(
          "table " + table.quoted() +
          " has no primary key, and events of one row are ordered by its key; add a primary key, or say which "
          "columns order the events: --key COLUMN");
    }
    watched_ = options.changes_of.empty() ? body_ : named(options.changes_of, "changes_of");
    if (!options.condition.empty()) {
      held_ = qualified_condition(table, options.condition, "OLD");
      holds_ = qualified_condition(table, options.condition, "NEW", &condition_columns_);
      for (const std::string& name : condition_columns_)
        if (const Column& c = *table.find(name); !table.in_triggers(c)) throw Refused(column_problem(c, table.mariadb));
    }
  }

  Plan plan() const {
    Plan plan;
    add(plan, "insert", options_.on_insert ? when(holds_, emit('i', "NEW")) : "");
    add(plan, "update", updates());
    add(plan, "delete", options_.on_delete ? when(held_, emit('d', "OLD")) : "");
    plan.columns_seen = seen();
    return plan;
  }

  RowSql row(const std::string& row) const {
    const BodySql body = body_sql(table_, members_, key_, row, max_body_bytes);
    RowSql sql{key_sql(row), body.whole, "NULL", ""};
    if (!options_.condition.empty()) sql.condition = qualified_condition(table_, options_.condition, row);
    if (!body.can_omit) return sql;
    const std::string fits = "IF(" + fits_sql(body_, options_.columns.size(), row) + ", ";
    const std::string large =
        "IF(COALESCE(LENGTH(" + body.whole + ") > " + std::to_string(max_body_bytes) + ", TRUE), ";
    sql.body = fits + body.whole + ", " + large + body.without + ", " + body.whole + "))";
    sql.omitted = fits + "NULL, " + large + body.omitted + ", NULL))";
    return sql;
  }

 private:
  // Indentation is for those who read SHOW CREATE TRIGGER.
  static std::string when(const std::string& condition, const std::string& statements) {
    return condition.empty() ? statements : "IF (" + condition + ") THEN\n" + statements + "END IF;\n";
  }

  void check_words() const {
    if (!options_.on_insert && !options_.on_update && !options_.on_delete) {
      throw Refused("nothing of " + options_.object + " would be captured: every action word is left out");
    }
    for (const auto& word : {options_.on_insert, options_.on_update, options_.on_delete}) {
      std::string why;
      if (word && !parse_routing_key(options_.object + "." + *word, &why)) {
        throw Refused("\"" + options_.object + "." + *word + "\" is no routing key: " + why +
                      "; an example: Frontend.Customer.Signup");
      }
    }
  }

  Columns named(const std::vector<std::string>& names, const std::string& of) const {
    Columns columns;
    for (const std::string& name : names) {
      const Column* found = table_.find(name);
      if (found == nullptr)
        throw Refused("table " + table_.quoted() + " has no column " + quote_identifier(name) + " (" + of + ")");
      if (const std::string problem = column_problem(*found, table_.mariadb); !problem.empty()) throw Refused(problem);
      columns.push_back(found);
    }
    return columns;
  }

  const std::string& word(char op) const {
    return *(op == 'i' ? options_.on_insert : op == 'u' ? options_.on_update : options_.on_delete);
  }

  std::string key_sql(const std::string& row) const {
    std::string values;
    for (const Column* c : key_) values += (values.empty() ? "" : ", ',', ") + key_value_sql(*c, row, table_.mariadb);
    const bool short_key =
        std::all_of(key_.begin(), key_.end(), [](const Column* c) { return is_number(*c); }) && key_.size() <= 8;
    if (short_key) return "CONCAT(" + quote_literal(options_.object + ":[") + ", " + values + ", ']')";
    return "muskrat.ordering_key(" + quote_literal(options_.object) + ", CONCAT('[', " + values + ", ']'))";
  }

  std::string insert(char op, const std::string& row, const std::string& body, const std::string& headers) const {
    return std::string("INSERT INTO muskrat.outbox (op, routing_key, ordering_key, body, headers) VALUES ('") + op +
           "', " + quote_literal(options_.object + "." + word(op)) + ", " + key_sql(row) + ", " + body + ", " +
           headers + ");\n";
  }

  // Nearly every event is small and has no headers: it is one statement, without variables and stored functions.
  std::string emit(char op, const std::string& row) const {
    const BodySql body = body_sql(table_, members_, key_, row, max_body_bytes);
    std::string careful = "SET muskrat_body = " + body.whole + ";\nSET muskrat_omitted = NULL;\n";
    if (body.can_omit) {
      careful += "IF COALESCE(LENGTH(muskrat_body) > " + std::to_string(max_body_bytes) + ", TRUE) THEN\n" +
                 "SET muskrat_omitted = " + body.omitted + ";\nSET muskrat_body = " + body.without + ";\nEND IF;\n";
    }
    careful += insert(op, row, "muskrat_body", "muskrat.headers(muskrat_omitted, @muskrat_traceparent)");
    return "IF @muskrat_traceparent IS NULL" +
           (body.can_omit ? " AND " + fits_sql(body_, options_.columns.size(), row) : "") + " THEN\n" +
           insert(op, row, body.whole, "NULL") + "ELSE\n" + careful + "END IF;\n";
  }

  static std::string any_changed(const Columns& columns) {
    std::string sql;
    for (const Column* c : columns) sql += (sql.empty() ? "" : " OR ") + changed_sql(*c);
    return sql;
  }

  // Both rows are told.
  std::string stays() const {
    std::string changed = when(any_changed(watched_), emit('u', "NEW"));
    if (!options_.on_insert && !options_.on_delete) return changed;
    std::string moved = options_.on_delete ? emit('d', "OLD") : "";
    moved += emit(options_.on_insert ? 'i' : 'u', "NEW");
    return "IF " + any_changed(key_) + " THEN\n" + moved + "ELSE\n" + changed + "END IF;\n";
  }

  std::string updates() const {
    if (options_.condition.empty()) return options_.on_update ? stays() : "";
    const std::string was = "(" + held_ + ") IS TRUE", is = "(" + holds_ + ") IS TRUE";
    std::string sql;
    if (options_.on_update) sql += when(was + " AND " + is, stays());
    if (options_.on_insert || options_.on_update) {
      sql += when(is + " AND NOT (" + was + ")", emit(options_.on_insert ? 'i' : 'u', "NEW"));
    }
    if (options_.on_delete) sql += when(was + " AND NOT (" + is + ")", emit('d', "OLD"));
    return sql;
  }

  void add(Plan& plan, const std::string& event, const std::string& statements) const {
    if (statements.empty()) return;
    std::string upper = event;
    std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
    const std::string body = "AFTER " + upper + " ON " + table_.quoted() + " FOR EACH ROW\nBEGIN\n" +
                             "DECLARE muskrat_body, muskrat_omitted LONGTEXT CHARACTER SET utf8mb4;\n" + statements +
                             "END";
    const std::string name =
        "muskrat_" + hash_of(table_.quoted() + options_.attachment_name() + '\0' + body) + "_" + event;
    plan.triggers.push_back({name, "CREATE DEFINER = 'muskrat_capture'@'localhost' TRIGGER " +
                                       quote_identifier(table_.schema) + "." + quote_identifier(name) + "\n" + body});
  }

  std::vector<std::string> seen() const {
    Columns all = body_;
    all.insert(all.end(), key_.begin(), key_.end());
    all.insert(all.end(), watched_.begin(), watched_.end());
    for (const std::string& name : condition_columns_) all.push_back(table_.find(name));
    std::vector<std::string> lines;
    for (const Column& c : table_.columns) {
      if (std::find(all.begin(), all.end(), &c) != all.end()) lines.push_back(seen_line(c));
    }
    return lines;
  }

  const Table& table_;
  const Options& options_;
  std::vector<Member> members_;
  Columns body_, key_, watched_;
  std::string held_, holds_;  // the condition over OLD and over NEW
  std::vector<std::string> condition_columns_;
};

}  // namespace

RowSql row_sql_of(const Table& table, const Options& options, const std::string& row) {
  return Generator(table, options).row(row);
}

Plan plan_of(const Table& table, const Options& options) { return Generator(table, options).plan(); }

Drift drift_of(const Table& now, const Options& options, const std::vector<std::string>& columns_seen) {
  Drift drift;
  std::vector<std::string> names;
  for (const std::string& line : columns_seen) {
    names.push_back(name_in_line(line));
    const Column* column = now.find(names.back());
    if (column == nullptr) {
      drift.gone.push_back(quote_identifier(names.back()));
    } else if (const std::string is = seen_line(*column); is != line) {
      drift.changed.push_back(line + " is now " + is.substr(quote_identifier(column->name).size() + 1));
    }
  }
  for (const Column& c : now.columns) {
    const bool wanted = options.columns == "*" && now.in_star(c);
    if (wanted && std::find(names.begin(), names.end(), c.name) == names.end())
      drift.added.push_back(quote_identifier(c.name));
  }
  return drift;
}

}  // namespace muskrat::capture_mysql

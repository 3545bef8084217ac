#include "consumer/endpoints/postgres/statements.hpp"

#include <algorithm>

namespace muskrat::postgres {
namespace {

class Writer {
 public:
  Writer(const Group& group, const Route& route, const Target& target, const State& state, size_t siblings, Form form)
      : row_(*group.first),
        route_(route),
        target_(target),
        state_(state),
        siblings_(siblings),
        form_(form),
        columns_(columns_of(group, route)) {}

  std::string text() const {
    switch (row_.effect) {
      case Effect::append:
        return input() + (row_.guarded ? fresh() : "") + " INSERT INTO " + target_.quoted + insert_list() + tail();
      case Effect::remove:
        return input() + (row_.guarded ? marks("true") + passed_remove() : "") + remove() + tail();
      case Effect::upsert:
        break;
    }
    const bool partial = std::find(row_.present.begin(), row_.present.end(), false) != row_.present.end();
    return input() + (row_.guarded ? marks("false") + passed_upsert() : "") +
           (partial ? upsert_partial() : upsert_whole()) + tail();
  }

 private:
  bool is_key(size_t column) const {
    return std::find(route_.key.begin(), route_.key.end(), column) != route_.key.end();
  }
  std::string value(size_t column) const { return target_.columns[column].from_text("i.c" + std::to_string(column)); }

  template <typename Each>
  std::string list(const std::vector<size_t>& columns, const char* between, Each each) const {
    std::string text;
    for (const size_t column : columns) text.append(text.empty() ? "" : between).append(each(column));
    return text;
  }
  std::string names(const std::vector<size_t>& columns) const {
    return list(columns, ", ", [&](size_t column) { return target_.columns[column].quoted; });
  }
  std::string values() const {
    return list(columns_, ", ", [&](size_t column) { return value(column); });
  }
  std::string same_key() const {
    return list(route_.key, " AND ",
                [&](size_t column) { return "t." + target_.columns[column].quoted + " = " + value(column); });
  }
  std::vector<size_t> free_columns() const {
    std::vector<size_t> columns;
    std::copy_if(columns_.begin(), columns_.end(), std::back_inserter(columns), [&](size_t c) { return !is_key(c); });
    return columns;
  }

  // WITH input AS (the parameters as rows). MATERIALIZED keeps a value from being cast before the guard has let it
  // pass.
  std::string input() const {
    std::string parameters, names;
    int count = 0;
    const auto add = [&](const std::string& type, const std::string& name) {
      const std::string parameter = "$" + std::to_string(++count) + "::" + type;
      parameters.append(parameters.empty() ? "" : ", ");
      parameters += form_ == Form::arrays ? "pg_catalog.unnest(" + parameter + "[])" : parameter + " AS " + name;
      names += (names.empty() ? "" : ", ") + name;
    };
    if (form_ == Form::arrays) add("int", "n");
    if (form_ == Form::one_row) parameters = "0 AS n";
    if (row_.guarded) add("int", "scope"), add("text", "identity");
    if (row_.guarded && row_.effect != Effect::append) add("bigint", "epoch"), add("bigint", "seq");
    for (const size_t column : columns_) add("text", "c" + std::to_string(column));
    if (form_ == Form::one_row) return "WITH input AS MATERIALIZED (SELECT " + parameters + ")";
    return "WITH input AS MATERIALIZED (SELECT * FROM ROWS FROM (" + parameters + ") AS u(" + names + "))";
  }

  // The guard lets pass what is newer than its mark and than the table's last TRUNCATE, and takes the row's lock.
  std::string marks(const std::string& deleted) const {
    return ", marks AS (INSERT INTO " + state_.guard() +
           " AS g (scope, row_key, epoch, seq, deleted) SELECT i.scope, i.identity, i.epoch, i.seq, " + deleted +
           " FROM input i JOIN " + state_.scopes() +
           " s ON s.id = i.scope WHERE (i.epoch, i.seq) > (s.truncated_epoch, s.truncated_seq) ORDER BY i.identity, "
           "i.scope "
           "ON CONFLICT (scope, row_key) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, deleted = "
           "excluded.deleted WHERE (excluded.epoch, excluded.seq) > (g.epoch, g.seq) RETURNING g.scope, g.row_key)";
  }
  std::string passed_upsert() const {
    return ", passed AS (SELECT i.n FROM input i JOIN marks m ON m.scope = i.scope AND m.row_key = i.identity)";
  }
  // A delete must be newer than what every route of the table has.
  std::string passed_remove() const {
    return ", passed AS (SELECT i.n FROM input i JOIN marks m ON m.scope = i.scope AND m.row_key = i.identity GROUP BY "
           "i.n "
           "HAVING count(*) = " +
           std::to_string(siblings_) + ")";
  }
  std::string fresh() const {
    return ", fresh AS (INSERT INTO " + state_.seen() +
           " (scope, message_id) SELECT i.scope, i.identity FROM input i ORDER BY i.identity ON CONFLICT DO NOTHING "
           "RETURNING message_id), passed AS (SELECT i.n FROM input i JOIN fresh f ON f.message_id = i.identity), "
           "effect AS (";
  }
  std::string from_passed() const {
    return std::string(" FROM input i") + (row_.guarded ? " JOIN passed p ON p.n = i.n" : "");
  }
  std::string insert_list() const {
    const std::string list = columns_.empty() ? "" : " (" + names(columns_) + ")";  // a row of defaults
    return list + " SELECT " + values() + from_passed() + " ORDER BY i.n" + (row_.guarded ? ")" : "");
  }
  std::string on_conflict() const {
    const auto columns = free_columns();
    const std::string target = " ON CONFLICT (" + names(route_.key) + ")";
    if (columns.empty()) return target + " DO NOTHING";
    return target + " DO UPDATE SET " + list(columns, ", ", [&](size_t column) {
             return target_.columns[column].quoted + " = excluded." + target_.columns[column].quoted;
           });
  }
  std::string upsert_whole() const {
    return ", effect AS (INSERT INTO " + target_.quoted + " (" + names(columns_) + ") SELECT " + values() +
           from_passed() + on_conflict() + ")";
  }
  // With columns left out an INSERT may fail a NOT NULL that the standing row fulfils: so rows that stand are updated.
  std::string upsert_partial() const {
    const auto columns = free_columns();
    if (columns.empty()) return upsert_whole();
    const std::string sets =
        list(columns, ", ", [&](size_t column) { return target_.columns[column].quoted + " = " + value(column); });
    return ", standing AS (UPDATE " + target_.quoted + " AS t SET " + sets + from_passed() + " WHERE " + same_key() +
           " RETURNING i.n), effect AS (INSERT INTO " + target_.quoted + " (" + names(columns_) + ") SELECT " +
           values() + from_passed() + " WHERE NOT EXISTS (SELECT FROM standing s WHERE s.n = i.n)" + on_conflict() +
           ")";
  }
  std::string remove() const {
    return ", effect AS (DELETE FROM " + target_.quoted + " AS t USING input i" +
           (row_.guarded ? " JOIN passed p ON p.n = i.n" : "") + " WHERE " + same_key() + ")";
  }

  // Who was passed over, and why.
  std::string tail() const {
    if (!row_.guarded && row_.effect == Effect::append) return "";
    if (!row_.guarded) return " SELECT 0 WHERE false";
    const std::string others = " FROM input i";
    const std::string not_passed = " WHERE NOT EXISTS (SELECT FROM passed p WHERE p.n = i.n)";
    if (row_.effect == Effect::append) return " SELECT i.n, 'r'" + others + not_passed;
    return " SELECT i.n, min(CASE WHEN g.epoch = i.epoch AND g.seq = i.seq THEN 'r' ELSE 's' END)" + others +
           " LEFT JOIN " + state_.guard() + " g ON g.scope = i.scope AND g.row_key = i.identity" + not_passed +
           " GROUP BY i.n";
  }

  const Row& row_;
  const Route& route_;
  const Target& target_;
  const State& state_;
  const size_t siblings_;
  const Form form_;
  const std::vector<size_t> columns_;
};

}  // namespace

std::string statement_of(const Group& group, const Route& route, const Target& target, const State& state,
                         size_t siblings, Form form) {
  return Writer(group, route, target, state, siblings, form).text();
}

}  // namespace muskrat::postgres

#include "consumer/endpoints/postgres/mirror.hpp"

#include <algorithm>

#include "common/pg.hpp"
#include "consumer/endpoints/postgres/comparison.hpp"
#include "consumer/endpoints/postgres/literals.hpp"
#include "consumer/endpoints/sql/table_mirror.hpp"

namespace muskrat::postgres {
namespace {

using sql::Row;

// What the server says of one row and not of the table, the rights or itself.
bool of_the_row(const pg::SqlError& error) {
  const std::string group = error.sqlstate().substr(0, 2);
  return group == "22" || group == "23" || group == "P0" || group == "44";
}

class PostgresMirror : public sql::TableMirror {
 public:
  using TableMirror::TableMirror;

  void connect(std::span<const Event> told, Deadline deadline) override {
    try {
      TableMirror::connect(told, deadline);
    } catch (const pg::SqlError& error) {
      throw Failure(error.transient() ? Remedy::reconnect : Remedy::stop,
                    std::string(error.what()) + " (in the endpoint " + name() + ")");
    }
  }

  std::vector<KeyTexts> keys(size_t table, const KeyRange& range, int64_t most, Deadline deadline) override {
    const std::vector<size_t>& walk = shape(table).walk;
    const std::string limit = std::to_string(most);
    std::vector<pg::Param> params = bounds_of(table, range);
    params.emplace_back(limit);
    const auto rows = connection_->exec_prepared(
        keys_of(targets_[table], walk, !range.after.empty(), !range.upto.empty()), params, deadline);
    std::vector<KeyTexts> keys;
    for (int i = 0; i < rows.rows(); ++i) {
      keys.emplace_back(walk.size());
      for (size_t c = 0; c < walk.size(); ++c) keys.back()[tables()[table].walk[c]] = rows.text(i, static_cast<int>(c));
    }
    return keys;
  }

  RangeDigest digest(size_t table, const std::vector<std::string>& as, const KeyRange& range,
                     Deadline deadline) override {
    const auto rows = connection_->exec_prepared(digest_of(targets_[table], shape(table).walk, copied_columns(table),
                                                           as, !range.after.empty(), !range.upto.empty()),
                                                 bounds_of(table, range), deadline);
    return {rows.int64(0, 0), std::string(rows.text(0, 1))};
  }

  std::vector<std::optional<std::string>> versions(size_t table, std::span<const KeyTexts> keys,
                                                   Deadline deadline) override {
    const std::vector<size_t>& key = route(table).key;
    std::vector<ArrayLiteral> values(key.size());
    for (const KeyTexts& texts : keys)
      for (size_t c = 0; c < key.size(); ++c) values[c].add(texts[c]);
    std::vector<std::string> arrays;
    arrays.reserve(values.size());
    for (ArrayLiteral& array : values) arrays.push_back(array.finish());
    const std::vector<pg::Param> params(arrays.begin(), arrays.end());
    const auto rows = connection_->exec_prepared(versions_of(targets_[table], key), params, deadline);
    std::vector<std::optional<std::string>> found(keys.size());
    for (int i = 0; i < rows.rows(); ++i) found[static_cast<size_t>(rows.int64(i, 0) - 1)] = rows.text(i, 1);
    return found;
  }

 protected:
  void open(Deadline deadline) override {
    connection_.reset();
    targets_.clear();
    connection_ = pg::Connection::open(
        {settings().fresh_secret("dsn"), settings().has("password") ? settings().fresh_secret("password") : "",
         "muskrat verify " + name()},
        deadline);
    // The walks go by index, whatever the statistics say of a few hundred keys; and nothing here writes.
    connection_->exec(
        "SET jit = off; SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = "
        "on; "
        "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET lc_monetary = 'C'; SET extra_float_digits = "
        "1; SET bytea_output = 'hex'; SET max_parallel_workers_per_gather = 0; SET enable_hashjoin = off; SET "
        "enable_mergejoin = off; SET enable_seqscan = off; SET enable_bitmapscan = off; SET statement_timeout = "
        "'5min'",
        deadline);
  }

  Shape discover(size_t table, Deadline deadline) override {
    targets_.push_back(postgres::discover(*connection_, route(table), deadline));
    Shape shape{targets_.back().identity, {}, index_order(*connection_, route(table), deadline)};
    for (const Column& column : targets_.back().columns) shape.types.push_back(column.type);
    return shape;
  }

  bool digests() const override { return true; }

  std::optional<std::string> text_of(size_t table, size_t column, const FieldValue& field,
                                     std::string& why) const override {
    return targets_[table].columns[column].text_of(field, why);
  }

  std::string other_origin(size_t table, const std::string& source, const std::string& object,
                           Deadline deadline) override {
    const std::string schema = connection_->quote_identifier(settings().text("state_schema"));
    const std::string scopes = schema + ".scope";
    const auto there = connection_->exec(
        "SELECT pg_catalog.to_regclass(" + connection_->quote_literal(scopes) + ") IS NOT NULL", deadline);
    if (!there.boolean(0, 0)) return "";
    const std::vector<pg::Param> params{targets_[table].identity, source, object};
    const auto others = connection_->exec("SELECT source, object FROM " + scopes +
                                              " WHERE target = $1 AND source <> '' AND (source, object) <> ($2, $3) "
                                              "LIMIT 1",
                                          params, deadline);
    if (others.rows() == 0) return "";
    return std::string(others.text(0, 1)) + " of source " + std::string(others.text(0, 0));
  }

  bool ask(const Rows& rows, const std::vector<size_t>& columns, const std::vector<size_t>& compared, bool with_values,
           std::vector<Discrepancy>& found, Deadline deadline) override {
    const size_t table = rows.front()->route;
    ArrayLiteral n;
    std::vector<ArrayLiteral> values(columns.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      n.add_number(static_cast<int64_t>(i));
      for (size_t c = 0; c < columns.size(); ++c) values[c].add(rows[i]->values[columns[c]]);
    }
    std::vector<std::string> arrays{n.finish()};
    for (ArrayLiteral& array : values) arrays.push_back(array.finish());
    const std::vector<pg::Param> params(arrays.begin(), arrays.end());
    pg::Result answer;
    try {
      answer = connection_->exec_prepared(comparison_of(route(table), targets_[table], columns, compared, with_values),
                                          params, deadline);
    } catch (const pg::SqlError& error) {
      if (of_the_row(error)) return why_ = error.sqlstate(), false;
      throw Failure(error.transient() ? Remedy::reconnect : Remedy::stop, error.what());
    }
    for (int i = 0; i < answer.rows(); ++i)
      found.push_back(read(answer, i, *rows[static_cast<size_t>(answer.int64(i, 0))], compared, with_values));
    return true;
  }

  // The value cannot become one of its column: the event would be a dead letter. The server's text may quote values.
  Discrepancy refused(const Row& row, const std::vector<size_t>& columns, Deadline deadline) override {
    Discrepancy refused{Discrepancy::Kind::refused, row.event, row.route, row.identity, {}, "SQLSTATE " + why_, {}};
    for (const size_t column : columns) {
      if (!row.values[column]) continue;
      const std::vector<pg::Param> params{*row.values[column]};
      try {
        connection_->exec("SELECT " + targets_[row.route].columns[column].as_stored("$1::text"), params, deadline);
      } catch (const pg::SqlError&) {
        refused.columns.push_back(route(row.route).fields.names()[column]);
      }
    }
    return refused;
  }

 private:
  // The key's texts in the order of the index, for the bounds that are there.
  std::vector<pg::Param> bounds_of(size_t table, const KeyRange& range) const {
    std::vector<pg::Param> params;
    for (const KeyTexts* bound : {&range.after, &range.upto})
      for (const size_t k : tables()[table].walk)
        if (!bound->empty()) params.emplace_back((*bound)[k]);
    return params;
  }

  Discrepancy read(const pg::Result& answer, int i, const Row& row, const std::vector<size_t>& compared,
                   bool with_values) const {
    Discrepancy difference{Discrepancy::Kind::missing, row.event, row.route, row.identity, {}, "", {}};
    if (answer.boolean(i, 1)) return difference;
    difference.kind = Discrepancy::Kind::different;
    const auto text = [&](int column) {
      return answer.null(i, column) ? std::nullopt : std::optional<std::string>(answer.text(i, column));
    };
    for (size_t c = 0; c < compared.size(); ++c) {
      const int at = 2 + static_cast<int>(c) * (with_values ? 3 : 1);
      if (!answer.boolean(i, at)) continue;
      difference.columns.push_back(route(row.route).fields.names()[compared[c]]);
      if (with_values) difference.values.emplace_back(text(at + 1), text(at + 2));
    }
    return difference;
  }

  std::vector<Target> targets_;  // by table
  std::string why_;              // SQLSTATE of the last refusal
  std::optional<pg::Connection> connection_;
};

}  // namespace

std::unique_ptr<Mirror> make_mirror(const Component& component) { return std::make_unique<PostgresMirror>(component); }

}  // namespace muskrat::postgres

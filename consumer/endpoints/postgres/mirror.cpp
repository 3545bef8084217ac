#include "consumer/endpoints/postgres/mirror.hpp"

#include <algorithm>
#include <map>

#include "common/pg.hpp"
#include "consumer/endpoints/postgres/comparison.hpp"
#include "consumer/endpoints/postgres/literals.hpp"
#include "consumer/endpoints/postgres/statements.hpp"

namespace muskrat::postgres {
namespace {

// What the server says of one row and not of the table, the rights or itself.
bool of_the_row(const pg::SqlError& error) {
  const std::string group = error.sqlstate().substr(0, 2);
  return group == "22" || group == "23" || group == "P0" || group == "44";
}

// The first two words, as a pattern for all that may come of this object.
std::string object_of(const Event& event) { return event.routing_key.substr(0, event.routing_key.rfind('.')); }

// Whether the binding takes events of this object alone.
bool confined_to(const std::string& binding, const std::string& object) { return binding.starts_with(object + "."); }

class PostgresMirror : public Mirror {
 public:
  explicit PostgresMirror(const Component& component) : settings_(component.settings), name_(component.name) {
    std::vector<Problem> problems;
    routes_ = sql::read_routes(component.settings, problems);
    if (!problems.empty()) throw Failure(Remedy::stop, problems.front().text);
  }

  void connect(std::span<const Event> told, Deadline deadline) override {
    connection_.reset();
    try {
      connection_ = pg::Connection::open(
          {settings_.fresh_secret("dsn"), settings_.has("password") ? settings_.fresh_secret("password") : "",
           "muskrat verify " + name_},
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
      if (tables_.empty()) describe(told);
      targets_.clear();
      walks_.clear();
      for (const Route& route : compared_) {
        targets_.push_back(discover(*connection_, route, deadline));
        walks_.push_back(index_order(*connection_, route, deadline));
      }
      find_others(told, deadline);
    } catch (const pg::SqlError& error) {
      throw Failure(error.transient() ? Remedy::reconnect : Remedy::stop,
                    std::string(error.what()) + " (in the endpoint " + name_ + ")");
    }
  }

  const std::vector<MirroredTable>& tables() const override { return tables_; }

  bool takes(const Event& event) const override {
    return std::any_of(compared_.begin(), compared_.end(), [&](const Route& route) { return route.takes(event); });
  }

  bool reached_by(size_t table, const std::string& routing_key) const override {
    Event event;
    event.routing_key = routing_key;
    const auto& patterns = settings_.texts("subscribe");
    return compared_[table].takes(event) &&
           std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
             const auto binding = binding_of_pattern(pattern);
             return binding && binding_matches(*binding, routing_key);
           });
  }

  std::vector<Discrepancy> compare(std::span<const Event> events, bool with_values, Deadline deadline) override {
    std::vector<sql::EventRows> made;
    std::vector<Discrepancy> found;
    std::vector<const Row*> rows;
    made.reserve(events.size());
    const auto text_of = [&](size_t route, size_t column, const FieldValue& field, std::string& why) {
      return targets_[route].columns[column].text_of(field, why);
    };
    for (size_t i = 0; i < events.size(); ++i) {
      made.push_back(sql::rows_of(events[i], compared_, text_of, name_));
      if (made.back().outcome.fate == Outcome::Fate::dead && takes(events[i]))
        found.push_back({Discrepancy::Kind::refused, i, 0, "", {}, made.back().outcome.reason, {}});
      for (Row& row : made.back().rows) row.event = i;
    }
    for (const sql::EventRows& event : made)
      for (const Row& row : event.rows) rows.push_back(&row);
    std::vector<std::string> names;
    for (const Target& target : targets_) names.push_back(target.identity);
    for (const Group& group : sql::group_rows(rows, names))
      compare(group.rows, columns_of(group, compared_[group.first->route]), with_values, found, deadline);
    return found;
  }

  std::vector<KeyTexts> keys(size_t table, const KeyRange& range, int64_t most, Deadline deadline) override {
    const std::vector<size_t>& walk = walks_[table];
    const std::string limit = std::to_string(most);
    std::vector<pg::Param> params = bounds_of(table, range);
    params.emplace_back(limit);
    const auto rows = connection_->exec_prepared(
        keys_of(targets_[table], walk, !range.after.empty(), !range.upto.empty()), params, deadline);
    std::vector<KeyTexts> keys;
    for (int i = 0; i < rows.rows(); ++i) {
      keys.emplace_back(walk.size());
      for (size_t c = 0; c < walk.size(); ++c) keys.back()[tables_[table].walk[c]] = rows.text(i, static_cast<int>(c));
    }
    return keys;
  }

  RangeDigest digest(size_t table, const std::vector<std::string>& as, const KeyRange& range,
                     Deadline deadline) override {
    const auto rows = connection_->exec_prepared(
        digest_of(targets_[table], walks_[table], copied_columns(table), as, !range.after.empty(), !range.upto.empty()),
        bounds_of(table, range), deadline);
    return {rows.int64(0, 0), std::string(rows.text(0, 1))};
  }

  std::vector<std::optional<std::string>> versions(size_t table, std::span<const KeyTexts> keys,
                                                   Deadline deadline) override {
    const std::vector<size_t>& key = compared_[table].key;
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

 private:
  using Rows = std::vector<const Row*>;

  // ---- which tables ----

  // The upsert routes that take rows of these kinds. A route whose condition asks for the event cannot be judged by the
  // row.
  void describe(std::span<const Event> told) {
    std::string why = "none of its routes takes " + told.front().routing_key + " (as " + told.front().as + ")";
    std::vector<Route> meant;
    for (Route& route : routes_) {
      if (!std::any_of(told.begin(), told.end(), [&](const Event& event) { return route.takes(event); })) continue;
      if (route.mode == Route::Mode::append) {
        why = "the route to " + route.table + " appends every event: there is no row of each row to compare";
      } else if (route.when.asks_for_the_event()) {
        why =
            "the `when` of the route to " + route.table + " asks for the op or action of an event, which a row has not";
      } else {
        tables_.push_back(described(route));
        meant.push_back(std::move(route));
      }
    }
    if (meant.empty()) throw Failure(Remedy::stop, "the endpoint " + name_ + " cannot be compared: " + why);
    compared_ = std::move(meant);
  }

  MirroredTable described(const Route& route) const {
    MirroredTable table;
    table.table = route.table;
    for (const size_t column : route.key) {
      table.key.push_back(route.fields.names()[column]);
      table.key_paths.push_back(route.fields.plain_copy_of(column));
    }
    for (size_t column = 0; column < route.fields.names().size(); ++column)
      if (route.fields.hangs_on_the_event(column)) table.uncompared.push_back(route.fields.names()[column]);
    return table;
  }

  // Rows that other events make are no rows too many. What can be known of that stands in the configuration, and in the
  // endpoint's own record of what came from where.
  void find_others(std::span<const Event> told, Deadline deadline) {
    const Event& event =
        *std::find_if(told.begin(), told.end(), [this](const Event& candidate) { return takes(candidate); });
    const std::string object = object_of(event);
    for (size_t i = 0; i < compared_.size(); ++i) {
      MirroredTable& table = tables_[i];
      const Route& route = compared_[i];
      table.key_types.clear();
      for (const size_t column : route.key) table.key_types.push_back(targets_[i].columns[column].type);
      table.walk.clear();
      for (const size_t column : walks_[i])
        table.walk.push_back(
            static_cast<size_t>(std::find(route.key.begin(), route.key.end(), column) - route.key.begin()));
      table.copies.clear();
      if (plain(i))
        for (const size_t column : copied_columns(i))
          table.copies.emplace_back(route.fields.plain_copy_of(column), targets_[i].columns[column].type);
      table.shared_with = other_route(i, object);
      if (table.shared_with.empty()) table.shared_with = other_origin(i, event, object, deadline);
    }
  }

  bool plain(size_t table) const {
    const Route& route = compared_[table];
    const std::vector<size_t> columns = copied_columns(table);
    return route.when.always() && std::none_of(columns.begin(), columns.end(), [&](size_t column) {
             return route.fields.plain_copy_of(column).empty();
           });
  }

  std::string other_route(size_t table, const std::string& object) const {
    for (const std::string& binding : bindings_of(compared_[table]))
      if (!confined_to(binding, object)) return "events that " + binding + " takes";
    return "";
  }

  std::vector<std::string> bindings_of(const Route& route) const {
    if (!route.bindings.empty()) return route.bindings;
    std::vector<std::string> bindings;
    for (const std::string& pattern : settings_.texts("subscribe"))
      if (const auto binding = binding_of_pattern(pattern)) bindings.push_back(*binding);
    return bindings;
  }

  std::string other_origin(size_t table, const Event& event, const std::string& object, Deadline deadline) {
    const std::string schema = connection_->quote_identifier(settings_.text("state_schema"));
    const std::string scopes = schema + ".scope";
    const auto there = connection_->exec(
        "SELECT pg_catalog.to_regclass(" + connection_->quote_literal(scopes) + ") IS NOT NULL", deadline);
    if (!there.boolean(0, 0)) return "";
    const std::vector<pg::Param> params{targets_[table].identity, event.source, object};
    const auto others = connection_->exec("SELECT source, object FROM " + scopes +
                                              " WHERE target = $1 AND source <> '' AND (source, object) <> ($2, $3) "
                                              "LIMIT 1",
                                          params, deadline);
    if (others.rows() == 0) return "";
    return std::string(others.text(0, 1)) + " of source " + std::string(others.text(0, 0));
  }

  // The key's texts in the order of the index, for the bounds that are there.
  std::vector<pg::Param> bounds_of(size_t table, const KeyRange& range) const {
    std::vector<pg::Param> params;
    for (const KeyTexts* bound : {&range.after, &range.upto})
      for (const size_t k : tables_[table].walk)
        if (!bound->empty()) params.emplace_back((*bound)[k]);
    return params;
  }

  std::vector<size_t> copied_columns(size_t table) const {
    const Route& route = compared_[table];
    std::vector<size_t> columns;
    for (size_t column = 0; column < route.fields.names().size(); ++column)
      if (!route.fields.hangs_on_the_event(column)) columns.push_back(column);
    return columns;
  }

  // ---- comparing ----

  void compare(const Rows& rows, const std::vector<size_t>& columns, bool with_values, std::vector<Discrepancy>& found,
               Deadline deadline) {
    try {
      ask(rows, columns, with_values, found, deadline);
    } catch (const pg::SqlError& error) {
      if (!of_the_row(error)) throw Failure(error.transient() ? Remedy::reconnect : Remedy::stop, error.what());
      if (rows.size() == 1) return refuse(*rows.front(), columns, error, found, deadline);
      const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
      compare(Rows(rows.begin(), middle), columns, with_values, found, deadline);
      compare(Rows(middle, rows.end()), columns, with_values, found, deadline);
    }
  }

  std::vector<size_t> compared_columns(size_t table, const std::vector<size_t>& columns) const {
    std::vector<size_t> compared;
    const Route& route = compared_[table];
    for (const size_t column : columns) {
      const bool key = std::find(route.key.begin(), route.key.end(), column) != route.key.end();
      if (!key && !route.fields.hangs_on_the_event(column)) compared.push_back(column);
    }
    return compared;
  }

  void ask(const Rows& rows, const std::vector<size_t>& columns, bool with_values, std::vector<Discrepancy>& found,
           Deadline deadline) {
    const size_t table = rows.front()->route;
    const std::vector<size_t> compared = compared_columns(table, columns);
    ArrayLiteral n;
    std::vector<ArrayLiteral> values(columns.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      n.add_number(static_cast<int64_t>(i));
      for (size_t c = 0; c < columns.size(); ++c) values[c].add(rows[i]->values[columns[c]]);
    }
    std::vector<std::string> arrays{n.finish()};
    for (ArrayLiteral& array : values) arrays.push_back(array.finish());
    const std::vector<pg::Param> params(arrays.begin(), arrays.end());
    const auto answer = connection_->exec_prepared(
        comparison_of(compared_[table], targets_[table], columns, compared, with_values), params, deadline);
    for (int i = 0; i < answer.rows(); ++i)
      found.push_back(read(answer, i, *rows[static_cast<size_t>(answer.int64(i, 0))], compared, with_values));
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
      difference.columns.push_back(compared_[row.route].fields.names()[compared[c]]);
      if (with_values) difference.values.emplace_back(text(at + 1), text(at + 2));
    }
    return difference;
  }

  // The value cannot become one of its column: the event would be a dead letter. The server's text may quote values.
  void refuse(const Row& row, const std::vector<size_t>& columns, const pg::SqlError& error,
              std::vector<Discrepancy>& found, Deadline deadline) {
    Discrepancy refused{Discrepancy::Kind::refused,     row.event, row.route, row.identity, {},
                        "SQLSTATE " + error.sqlstate(), {}};
    for (const size_t column : columns) {
      if (!row.values[column]) continue;
      const std::vector<pg::Param> params{*row.values[column]};
      try {
        connection_->exec("SELECT " + targets_[row.route].columns[column].as_stored("$1::text"), params, deadline);
      } catch (const pg::SqlError&) {
        refused.columns.push_back(compared_[row.route].fields.names()[column]);
      }
    }
    found.push_back(std::move(refused));
  }

  const Settings& settings_;
  const std::string name_;
  std::vector<Route> routes_, compared_;  // all; those of tables_, by the same index
  std::vector<MirroredTable> tables_;
  std::vector<Target> targets_;
  std::vector<std::vector<size_t>> walks_;  // the key's columns in the order of its index
  std::optional<pg::Connection> connection_;
};

}  // namespace

std::unique_ptr<Mirror> make_mirror(const Component& component) { return std::make_unique<PostgresMirror>(component); }

}  // namespace muskrat::postgres

// PostgreSQL as the database of a query: pages with row comparisons, all rows by a server-side cursor.
#include <charconv>

#include "common/json.hpp"
#include "common/pg.hpp"
#include "relay/sources/sql_query_postgres_sql.hpp"

namespace muskrat::sql_query {
namespace {

using namespace postgres;

constexpr milliseconds connect_time{10'000};
constexpr int body_column = 0, rank_column = 1, new_column = 2, ahead_column = 3, first_part = 4;

pg::Connection connect(const Component& source, const Stop& stop) {
  const Settings& settings = source.settings;
  pg::Address address;
  address.dsn = settings.fresh_secret("dsn");
  if (settings.has("password")) address.password = settings.fresh_secret("password");
  address.application_name = "muskrat relay " + source.name;
  const Deadline deadline = Deadline::in(connect_time);
  pg::Connection db = pg::Connection::open(address, deadline, &stop);
  db.exec(
      "SET default_transaction_read_only = on; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; "
      "SET IntervalStyle = 'iso_8601'; SET bytea_output = 'hex'; SET extra_float_digits = 1; "
      "SET statement_timeout = " +
          std::to_string(settings.duration("statement_timeout").count()),
      deadline);
  return db;
}

// Of the answer to EXPLAIN (FORMAT JSON).
std::optional<int64_t> planned_rows(const pg::Result& plan) {
  std::string why;
  const auto document = json::Document::parse(plan.text(0, 0), why);
  const auto rows = document ? document->root().at(0).path("Plan.Plan Rows") : std::nullopt;
  if (!rows || rows->type() != json::Type::number) return std::nullopt;
  int64_t number = 0;
  const std::string_view digits = rows->number();
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

class Postgres : public Db {
 public:
  Postgres(const Component& source, const Stop& stop)
      : settings_(source.settings), shape_(shape_of(settings_)), db_(connect(source, stop)) {}

  void attend(Run& run) override {
    db_.attend(run.stop(), [&run] { run.beat(); });
  }
  std::string place() const override { return db_.place(); }

  CursorType cursor_type() override;
  std::string before(const CursorType& type, const std::string& value, int64_t span) override;
  // The server reads it as what the cursor is.
  std::string since(const CursorType& /*type*/, const std::string& value) override { return value; }
  bool behind(const CursorType& /*type*/, const std::string& value, const std::string& other) override {
    return ask(behind_sql(shape_), {value, other}).boolean(0, 0);
  }
  PageRows page(const PageOrder& order) override;
  std::optional<int64_t> estimate(const PageOrder& order) override {
    return planned_rows(ask(estimate_sql(shape_, order), order.place));
  }

  std::vector<std::string> columns() override;
  std::optional<int64_t> estimate_all() override { return planned_rows(ask(explain_all_sql(shape_))); }
  std::string begin_rows(bool stamped) override;
  std::vector<std::string> next_rows(int64_t most) override;
  void end_rows() override { ask("COMMIT"); }

 private:
  pg::Result ask(const std::string& sql, const std::vector<std::string>& values = {});

  const Settings& settings_;
  Shape shape_;
  pg::Connection db_;
};

pg::Result Postgres::ask(const std::string& sql, const std::vector<std::string>& values) {
  const std::vector<pg::Param> params(values.begin(), values.end());
  try {
    // Longer than the server's own limit, which says more.
    return db_.exec(sql, params, Deadline::in(settings_.duration("statement_timeout") + milliseconds(5000)));
  } catch (const pg::SqlError& error) {
    const std::string& state = error.sqlstate();
    if (state == "42703") refuse_columns(error.what(), shape_);
    // These quote the value.
    if (state.starts_with("22")) refuse_value("SQLSTATE " + state);
    throw Failure(Remedy::reconnect, std::string("the query was refused: ") + error.what());
  }
}

CursorType Postgres::cursor_type() {
  std::string type(ask(type_sql(shape_)).text(0, 0));
  const bool time = type.starts_with("timestamp") || type == "date";
  return {std::move(type), time};
}

std::string Postgres::before(const CursorType& type, const std::string& value, int64_t span) {
  const std::string text = std::to_string(span) + (type.by_time ? " microseconds" : "");
  return std::string(ask(before_sql(type.name, type.by_time), {value, text}).text(0, 0));
}

PageRows Postgres::page(const PageOrder& order) {
  Place values = order.place;
  values.insert(values.end(), order.mark.begin(), order.mark.end());
  const pg::Result rows = ask(page_sql(shape_, order), values);
  PageRows page;
  page.records.reserve(static_cast<size_t>(rows.rows()));
  for (int row = 0; row < rows.rows(); ++row) {
    for (int part = first_part + 1; part < rows.columns(); ++part)
      if (rows.null(row, part)) refuse_null_key(shape_.keys[static_cast<size_t>(part - first_part - 1)]);
    page.records.push_back({std::string(rows.text(row, body_column)), std::string(rows.text(row, first_part)),
                            rows.int64(row, rank_column)});
  }
  const auto place_of = [&](int row) {
    Place place;
    for (int part = first_part; part < rows.columns(); ++part) place.emplace_back(rows.text(row, part));
    return place;
  };
  int come = rows.rows();
  while (come > 0 && rows.boolean(come - 1, ahead_column)) --come;
  page.come = static_cast<size_t>(come);
  if (come > 0) {
    page.reached = place_of(come - 1);
    page.behind_mark = rows.boolean(come - 1, new_column);
  }
  if (rows.rows() > 0) page.last = place_of(rows.rows() - 1);
  return page;
}

std::vector<std::string> Postgres::columns() {
  ask(key_sql(shape_));
  const pg::Result all = ask(columns_sql(shape_));
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(all.columns()));
  for (int column = 0; column < all.columns(); ++column) names.push_back(all.name(column));
  return names;
}

std::string Postgres::begin_rows(bool stamped) {
  // A run that hangs must not hold back the vacuum for long.
  ask("SET idle_in_transaction_session_timeout = '5min'");
  ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  // The first statement takes the snapshot; the clock is looked at after that.
  std::string as_of(ask(instant_sql).text(0, 0));
  ask(declare_sql(shape_, stamped ? db_.quote_literal(as_of) : ""));
  return as_of;
}

std::vector<std::string> Postgres::next_rows(int64_t most) {
  const pg::Result rows = ask("FETCH " + std::to_string(most) + " FROM muskrat_rows");
  std::vector<std::string> bodies;
  bodies.reserve(static_cast<size_t>(rows.rows()));
  for (int row = 0; row < rows.rows(); ++row) bodies.emplace_back(rows.text(row, 0));
  return bodies;
}

}  // namespace

std::unique_ptr<Db> open_postgres(const Component& source, const Stop& stop) {
  return std::make_unique<Postgres>(source, stop);
}

}  // namespace muskrat::sql_query

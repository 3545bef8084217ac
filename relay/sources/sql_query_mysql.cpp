// MySQL or MariaDB as the database of a query: pages by expanded comparisons, all rows by an unbuffered result.
#include <algorithm>

#include <strings.h>

#include "common/digest.hpp"
#include "common/mysql.hpp"
#include "common/utc_text.hpp"
#include "relay/sources/sql_query_mysql_json.hpp"
#include "relay/sources/sql_query_mysql_sql.hpp"

namespace muskrat::sql_query {
namespace {

using namespace mysql_server;
using Kind = mysql::Column::Kind;

constexpr milliseconds connect_time{10'000};
constexpr int rank_column = 0, new_column = 1, ahead_column = 2, first_of_query = 3;
// The server waits so long for us while we wait for the broker, or for the rate, in the middle of all rows.
constexpr const char* patience = "SET SESSION net_write_timeout = 3600";

// MariaDB's limit is in seconds and bounds every statement, MySQL's in milliseconds and for SELECT alone; both stand
// for the time that the rows take to be read, too.
std::string limit_sql(const mysql::Connection& db, milliseconds limit) {
  if (!db.mariadb()) return "SET SESSION max_execution_time = " + std::to_string(limit.count());
  return "SET SESSION max_statement_time = " + std::to_string(limit.count() / 1000) + "." +
         std::to_string(limit.count() % 1000 + 1000).substr(1);
}

mysql::Connection connect(const Component& source, const Stop& stop) {
  const Settings& settings = source.settings;
  mysql::Address address;
  address.dsn = settings.fresh_secret("dsn");
  if (settings.has("password")) address.password = settings.fresh_secret("password");
  address.application_name = "muskrat relay " + source.name;
  const Deadline deadline = Deadline::in(connect_time);
  mysql::Connection db = mysql::Connection::open(address, deadline, &stop);
  db.exec(limit_sql(db, settings.duration("statement_timeout")), deadline);
  db.exec("SET SESSION TRANSACTION READ ONLY", deadline);
  return db;
}

bool by_time(Kind kind) { return kind == Kind::date || kind == Kind::datetime || kind == Kind::timestamp; }
bool by_number(Kind kind) {
  return kind == Kind::integer || kind == Kind::boolean || kind == Kind::decimal || kind == Kind::real;
}
bool orders_rows(Kind kind) { return by_time(kind) || by_number(kind) || kind == Kind::text || kind == Kind::bytes; }

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::integer:
      return "integer";
    case Kind::boolean:
      return "tinyint(1)";
    case Kind::decimal:
      return "decimal";
    case Kind::single:
      return "float";
    case Kind::real:
      return "double";
    case Kind::bits:
      return "bit";
    case Kind::date:
      return "date";
    case Kind::datetime:
      return "datetime";
    case Kind::timestamp:
      return "timestamp";
    case Kind::time:
      return "time";
    case Kind::json:
      return "json";
    case Kind::text:
      return "text";
    case Kind::bytes:
      return "binary";
    case Kind::geometry:
      break;
  }
  return "geometry";
}

bool is_number(const std::string& text) {
  return text.find_first_of("0123456789") != text.npos && text.find_first_not_of("0123456789+-.eE") == text.npos;
}

// A value that does not convert, or does not fit.
bool of_a_value(int code) {
  constexpr int codes[] = {1264, 1265, 1292, 1365, 1366, 1367, 1411, 1690};
  return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
}

// Names of columns do not differ in case alone.
int column_of(const mysql::Result& rows, const std::string& name) {
  int at = first_of_query;
  while (at + 1 < rows.columns() && ::strcasecmp(rows.column(at).name.c_str(), name.c_str()) != 0) ++at;
  return at;
}

class MySql : public Db {
 public:
  MySql(const Component& source, const Stop& stop)
      : settings_(source.settings), shape_(shape_of(settings_)), db_(connect(source, stop)) {}

  void attend(Run& run) override {
    db_.attend(run.stop(), [&run] { run.beat(); });
  }
  std::string place() const override { return db_.place(); }

  CursorType cursor_type() override;
  std::string before(const CursorType& type, const std::string& value, int64_t span) override;
  std::string since(const CursorType& type, const std::string& value) override;
  bool behind(const CursorType& type, const std::string& value, const std::string& other) override;
  PageRows page(const PageOrder& order) override;
  std::optional<int64_t> estimate(const PageOrder& order) override {
    return planned_rows(explain_page_sql(shape_, literal(order)));
  }

  std::vector<std::string> columns() override;
  std::optional<int64_t> estimate_all() override { return planned_rows(explain_all_sql(shape_)); }
  std::string begin_rows(bool stamped) override;
  std::vector<std::string> next_rows(int64_t most) override;
  void end_rows() override { ask("COMMIT"); }

 private:
  template <typename Act>
  auto asked(Act act);
  mysql::Result ask(const std::string& sql);
  // Longer than the server's own limit, which says more.
  Deadline deadline() const { return Deadline::in(settings_.duration("statement_timeout") + milliseconds(5000)); }
  std::optional<int64_t> planned_rows(const std::string& explain);
  std::string literal(Kind kind, const std::string& value) const;
  Place literals(const Place& place) const;
  PageOrder literal(PageOrder order) const;
  std::string datetime(const std::string& expression);

  const Settings& settings_;
  Shape shape_;
  mysql::Connection db_;
  std::vector<Kind> kinds_;  // of cursor and keys
  std::string stamp_;        // in the bodies of all rows
};

template <typename Act>
auto MySql::asked(Act act) {
  try {
    return act();
  } catch (const mysql::SqlError& error) {
    if (error.code() == 1054) refuse_columns(error.what(), shape_);
    if (of_a_value(error.code())) refuse_value(std::to_string(error.code()));
    if (error.code() == 1969 || error.code() == 3024)
      throw Failure(Remedy::reconnect, std::string("the query took longer than statement_timeout: ") + error.what());
    throw Failure(Remedy::reconnect, std::string("the query was refused: ") + error.what());
  }
}

mysql::Result MySql::ask(const std::string& sql) {
  return asked([&] { return db_.exec(sql, deadline()); });
}

CursorType MySql::cursor_type() {
  const mysql::Result parts = ask(parts_sql(shape_));
  kinds_.clear();
  for (int part = 0; part < parts.columns(); ++part) {
    const mysql::Column& column = parts.column(part);
    if (!orders_rows(column.kind))
      throw Failure(Remedy::reconnect, "the column " + column.name + " is of type " + name_of(column.kind) +
                                           ", by which rows cannot be placed; give another as cursor or key");
    kinds_.push_back(column.kind);
  }
  return {name_of(kinds_.front()), by_time(kinds_.front())};
}

// Numbers bare: compared with a text, a number becomes a double, and loses digits.
std::string MySql::literal(Kind kind, const std::string& value) const {
  if (kind == Kind::bytes) return "X'" + hex(value) + "'";
  if (!by_number(kind)) return db_.quote_literal(value);
  if (!is_number(value)) refuse_value("a number is due");
  return value;
}

Place MySql::literals(const Place& place) const {
  Place texts;
  for (size_t part = 0; part < place.size(); ++part) texts.push_back(literal(kinds_.at(part), place[part]));
  return texts;
}

PageOrder MySql::literal(PageOrder order) const {
  order.place = literals(order.place);
  order.mark = literals(order.mark);
  return order;
}

std::string MySql::datetime(const std::string& expression) {
  const mysql::Result made = ask("SELECT " + expression);
  if (made.null(0, 0)) refuse_value("a date is due");
  return std::string(made.text(0, 0));
}

std::string MySql::before(const CursorType& type, const std::string& value, int64_t span) {
  const std::string from = literal(kinds_.front(), value);
  if (type.by_time)
    return datetime("CAST(" + from + " AS DATETIME(6)) - INTERVAL " + std::to_string(span) + " MICROSECOND");
  if (!by_number(kinds_.front())) refuse_value("an overlap needs a cursor that is a number or a time");
  return std::string(ask("SELECT " + from + " - " + std::to_string(span)).text(0, 0));
}

std::string MySql::since(const CursorType& type, const std::string& value) {
  if (!type.by_time) return value;
  std::string text = value;
  if (const auto us = utc_from_text(value)) {
    text = utc_text_exact(*us);
    text.pop_back();
    text[text.find('T')] = ' ';
  }
  return datetime("CAST(" + db_.quote_literal(text) + " AS DATETIME(6))");
}

bool MySql::behind(const CursorType& type, const std::string& value, const std::string& other) {
  const auto operand = [&](const std::string& text) {
    const std::string given = literal(kinds_.front(), text);
    return type.by_time ? "CAST(" + given + " AS DATETIME(6))" : given;
  };
  return ask("SELECT " + operand(value) + " > " + operand(other)).boolean(0, 0);
}

PageRows MySql::page(const PageOrder& order) {
  const mysql::Result rows = ask(page_sql(shape_, literal(order)));
  std::vector<int> parts{column_of(rows, shape_.cursor)};
  for (const std::string& key : shape_.keys) parts.push_back(column_of(rows, key));
  PageRows page;
  page.records.reserve(static_cast<size_t>(rows.rows()));
  for (int row = 0; row < rows.rows(); ++row) {
    for (const int part : parts)
      if (rows.null(row, part)) refuse_null_key(rows.column(part).name);
    page.records.push_back({body_of(rows, row, first_of_query, ""), std::string(rows.text(row, parts.front())),
                            rows.int64(row, rank_column)});
  }
  const auto place_of = [&](int row) {
    Place place;
    for (const int part : parts) place.emplace_back(rows.text(row, part));
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

std::optional<int64_t> MySql::planned_rows(const std::string& explain) {
  const mysql::Result plan = ask(explain);
  if (plan.rows() != 1) return std::nullopt;
  for (int column = 0; column < plan.columns(); ++column)
    if (plan.column(column).name == "rows" && !plan.null(0, column)) return plan.int64(0, column);
  return std::nullopt;
}

std::vector<std::string> MySql::columns() {
  Shape keys = shape_;
  if (keys.cursor.empty()) {
    keys.cursor = keys.keys.front();
    keys.keys.erase(keys.keys.begin());
  }
  ask(parts_sql(keys));
  const mysql::Result all = ask(columns_sql(shape_));
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(all.columns()));
  for (int column = 0; column < all.columns(); ++column) names.push_back(all.column(column).name);
  return names;
}

std::string MySql::begin_rows(bool stamped) {
  ask(patience);
  // The limit would count how long we take to read.
  ask(limit_sql(db_, milliseconds(0)));
  ask("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
  ask("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
  std::string as_of(ask(instant_sql).text(0, 0));
  if (stamped) stamp_ = as_of;
  asked([&] { db_.stream(all_sql(shape_), {}, deadline()); });
  return as_of;
}

std::vector<std::string> MySql::next_rows(int64_t most) {
  const mysql::Result rows = asked([&] { return db_.next_rows(static_cast<int>(most), deadline()); });
  std::vector<std::string> bodies;
  bodies.reserve(static_cast<size_t>(rows.rows()));
  for (int row = 0; row < rows.rows(); ++row) bodies.push_back(body_of(rows, row, 0, stamp_));
  return bodies;
}

}  // namespace

std::unique_ptr<Db> open_mysql(const Component& source, const Stop& stop) {
  return std::make_unique<MySql>(source, stop);
}

}  // namespace muskrat::sql_query

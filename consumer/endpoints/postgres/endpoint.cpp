// The endpoint kind `postgres`: events become rows of tables, in one transaction with the guard that makes them count
// once.
//
// Parts: route (which events, which table), target (the catalog), rows (events → rows), statements (SQL), applier (one
// transaction), state (guard and seen). docs/endpoints.md says what is promised.
//
// How a refusal is judged: what the server says of one row (classes 22, 23, 44, P0 …) is that event's fate, and the
// batch is halved until it stands alone; a foreign key that is not there yet may come, a unique value may become free;
// a table, column or right that is missing is the endpoint's trouble and no event's.
#include <algorithm>
#include <array>

#include "common/database_dsn.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/endpoints/postgres/applier.hpp"
#include "consumer/endpoints/postgres/mirror.hpp"
#include "consumer/endpoints/sql/explain.hpp"
#include "consumer/endpoints/sql/table_endpoint.hpp"

namespace muskrat {
namespace postgres {
namespace {

using sql::Refusal;

// Classes of SQLSTATE that say nothing of a row: what the table cannot do, as one with rules cannot upsert (0A), or not
// as it is now, as one that is published without a replica identity cannot be deleted from (55); sessions, rights and
// names.
constexpr std::array<std::string_view, 7> of_the_table{"0A", "25", "28", "3D", "3F", "42", "55"};

struct Database {
  using Connection = pg::Connection;
  using Error = pg::SqlError;
  using Target = postgres::Target;
  using State = postgres::State;
  using Applier = postgres::Applier;
  static Target discover(Connection& connection, const sql::Route& route, Deadline deadline) {
    return postgres::discover(connection, route, deadline);
  }
};

class PostgresEndpoint : public sql::TableEndpoint<Database> {
 public:
  explicit PostgresEndpoint(const Component& component)
      : TableEndpoint(component, component.settings.text("state_schema")) {}

 protected:
  pg::Connection open(Deadline deadline) override {
    const std::string password = settings().has("password") ? settings().fresh_secret("password") : "";
    const milliseconds longest = settings().duration("timeout");
    pg::Connection connection = pg::Connection::open(
        {settings().fresh_secret("dsn"), password, "muskrat consume " + name(), longest}, deadline);
    const std::string timeout = std::to_string(longest.count());
    // What is acknowledged must be durable; a late commit of a call that we gave up on must not happen.
    connection.exec(
        "SET jit = off; SET default_transaction_isolation = 'read committed'; "
        "SET DateStyle = 'ISO, YMD'; "
        "SET lc_monetary = 'C'; SET statement_timeout = " +
            timeout + "; SET idle_in_transaction_session_timeout = " + timeout +
            "; SELECT pg_catalog.set_config('synchronous_commit', 'on', false) WHERE "
            "pg_catalog.current_setting('synchronous_commit') = 'off'",
        deadline);
    connection.replan_every(milliseconds(10'000));
    return connection;
  }

  Refusal refusal(const pg::SqlError& error) const override {
    const std::string& state = error.sqlstate();
    const auto among = [&](const auto& groups) {
      return std::find(groups.begin(), groups.end(), std::string_view(state).substr(0, 2)) != groups.end();
    };
    if (state == "40001" || state == "40P01" || state == "55P03") return Refusal::collision;
    // a parent not there yet; a value that a row of another ordering key is about to give up
    if (state == "23503" || state == "23505" || state == "23P01") return Refusal::event_later;
    if (error.transient() || among(of_the_table)) return Refusal::endpoint;
    return Refusal::event;
  }

  std::string reason(const pg::SqlError& error, const std::vector<Row>& rows, Deadline deadline) override {
    std::string why = "SQLSTATE " + error.sqlstate();
    std::string column = error.column();
    if (error.sqlstate().starts_with("22"))
      for (const Row& row : rows)
        if (column.empty()) column = applier().column_at_fault(row, deadline);
    if (!error.constraint().empty()) why += " constraint " + error.constraint();
    if (!column.empty()) why += " column " + column;
    return why;
  }
};

std::span<const Option> endpoint_options() {
  static const std::array options{
      Option{"dsn", OptionType::text, "", "",
             "Where the database is: a libpq connection string or URI, such as host=db dbname=analytics user=muskrat. "
             "Beyond this machine sslmode is verify-full unless it says otherwise.",
             true},
      Option{"password", OptionType::secret, "", "",
             "The password, where it is not in the DSN or in .pgpass; read anew at each connect."},
      Option{"state_schema", OptionType::text, "muskrat_endpoint", "",
             "The schema for the endpoint's own tables (scope, guard, seen); made when it is not there."},
      sql::seen_for_option(),
      sql::routes_option(),
  };
  return options;
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  sql::read_routes(settings, problems);
  check_postgres_dsn(settings, "dsn", problems);
}

std::unique_ptr<Endpoint> make(const Component& component) { return std::make_unique<PostgresEndpoint>(component); }

}  // namespace
}  // namespace postgres

const EndpointKind& postgres_endpoint() {
  static const EndpointKind kind{
      {"postgres",
       "mirrors rows into tables of a PostgreSQL database (upsert by key, deletes included), or "
       "appends each event once",
       postgres::endpoint_options(), postgres::validate},
      postgres::make,
      4,
      false,
      milliseconds(0),
      sql::explain,
      postgres::make_mirror};
  return kind;
}

}  // namespace muskrat

// The endpoint kind `mysql`: events become rows of tables in MySQL or MariaDB, in one transaction with the guard that
// makes them count once. It promises what the kind `postgres` does; docs/endpoints.md says it for both.
//
// Parts: sql/route (which events, which table), sql/rows (events → rows), target (the catalog), applier (one
// transaction), state (guard and seen).
//
// How a refusal is judged: what the server says of one row is that event's fate, and the batch is halved until it
// stands alone; a foreign key that is not there yet may come, a unique value may become free; a table, column or right
// that is missing, a trigger that cannot work and a server that is set up otherwise are the endpoint's trouble and no
// event's (common/mysql.hpp lists them).
#include <algorithm>
#include <array>

#include "common/database_dsn.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/endpoints/mysql/applier.hpp"
#include "consumer/endpoints/mysql/mirror.hpp"
#include "consumer/endpoints/sql/explain.hpp"
#include "consumer/endpoints/sql/table_endpoint.hpp"

namespace muskrat {
namespace mysql_target {
namespace {

using sql::Refusal;

struct Database {
  using Connection = mysql::Connection;
  using Error = mysql::SqlError;
  using Target = mysql_target::Target;
  using State = mysql_target::State;
  using Applier = mysql_target::Applier;
  static Target discover(Connection& connection, const sql::Route& route, Deadline deadline) {
    return mysql_target::discover(connection, route, deadline);
  }
};

class MysqlEndpoint : public sql::TableEndpoint<Database> {
 public:
  explicit MysqlEndpoint(const Component& component)
      : TableEndpoint(component, component.settings.text("state_prefix")) {}

 protected:
  mysql::Connection open(Deadline deadline) override {
    mysql::Address address;
    address.dsn = settings().fresh_secret("dsn");
    if (settings().has("password")) address.password = settings().fresh_secret("password");
    address.application_name = "muskrat consume " + name();
    mysql::Connection connection = mysql::Connection::open(address, deadline);
    // A lock that is waited for longer than half a call is a collision, not a lost connection.
    const int64_t seconds = std::max<int64_t>(settings().duration("timeout").count() / 2000, 1);
    connection.exec("SET SESSION innodb_lock_wait_timeout = " + std::to_string(seconds), deadline);
    return connection;
  }

  Refusal refusal(const mysql::SqlError& error) const override {
    switch (error.code()) {
      case 1020:
      case 1205:
      case 1213:
      case 1412:  // the table was altered in mid-transaction
        return Refusal::collision;
      case 1062:  // a value that a row of another ordering key is about to give up
      case 1216:  // as 1452, told to a user who may not look at the parent's table
      case 1217:  // as 1451, likewise
      case 1451:
      case 1452:  // a parent not there yet
      case 1586:
        return Refusal::event_later;
      case 1153:  // larger than the server takes: in halves it may not be
        return Refusal::event;
      default:
        return error.of_the_server() ? Refusal::endpoint : Refusal::event;
    }
  }

  std::string reason(const mysql::SqlError& error, const std::vector<sql::Row>& /*rows*/,
                     Deadline /*deadline*/) override {
    std::string why = "error " + std::to_string(error.code()) + " SQLSTATE " + error.sqlstate();
    if (!error.constraint().empty()) why += " constraint " + error.constraint();
    if (!error.column().empty()) why += " column " + error.column();
    return why;
  }
};

std::span<const Option> endpoint_options() {
  static const std::array options{
      Option{"dsn", OptionType::text, "", "",
             "Where the database is: mysql://user@host:port/database, or mysql://user@localhost/database?socket=/path.",
             true},
      Option{"password", OptionType::secret, "", "",
             "The password, where it is not in the DSN; read anew at each connect."},
      Option{"state_prefix", OptionType::text, "muskrat_", "",
             "What the names of the endpoint's own tables begin with (scope, guard, seen); made in the DSN's database "
             "when "
             "they are not there."},
      sql::seen_for_option(),
      sql::routes_option(),
  };
  return options;
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  sql::read_routes(settings, problems);
  check_mysql_dsn(settings, "dsn", problems);
}

std::unique_ptr<Endpoint> make(const Component& component) { return std::make_unique<MysqlEndpoint>(component); }

}  // namespace
}  // namespace mysql_target

const EndpointKind& mysql_endpoint() {
  static const EndpointKind kind{
      {"mysql",
       "mirrors rows into tables of a MySQL or MariaDB database (upsert by key, deletes included), or appends each "
       "event once",
       mysql_target::endpoint_options(), mysql_target::validate},
      mysql_target::make,
      4,
      false,
      milliseconds(0),
      sql::explain,
      mysql_target::make_mirror};
  return kind;
}

}  // namespace muskrat

// What most verbs start with: the configuration, a component of it, a connection.
//
// Used by every verb. Thread rule: the main thread.
#pragma once

#include <string>

#include "cli/arguments.hpp"
#include "common/amqp.hpp"
#include "common/config.hpp"
#include "common/mysql.hpp"
#include "common/pg.hpp"
#include "common/stop.hpp"
#include "relay/sources/mysql_outbox_db.hpp"

namespace muskrat::cli {

inline constexpr milliseconds connect_time = std::chrono::seconds(15);
inline constexpr milliseconds answer_time = std::chrono::seconds(30);

// The kinds and tables of everything that can be configured.
Schema schema();

// --config, else $MUSKRAT_CONFIG, else ./muskrat.yaml, else /etc/muskrat/muskrat.yaml. UsageError when there is none.
std::string config_path(const Globals& globals);

// A valid configuration; otherwise all problems go to standard error and BadConfiguration is thrown.
Config load(const Globals& globals);

// The component of that name; UsageError with a suggestion when there is none.
const Component& find_component(const std::vector<Component>& components, const std::string& name,
                                std::string_view what);

// One DSN leads to one database: UsageError when `dsn` is given and is meant for several sources; `remedy` says what to
// do about it.
void require_one_source(const std::string& dsn, size_t sources, std::string_view remedy);

// The frontend database of a source of kind postgres. `dsn` overrides the configured one: attaching needs the table
// owner's rights, which the relay's user should not have.
pg::Connection open_source(const Component& source, const std::string& dsn, const Stop* stop = nullptr);

// The outbox of a source of kind mysql.
mysql_outbox::Db open_mysql_source(const Component& source, const std::string& dsn, const Stop* stop = nullptr);
// The same server, where there may be no outbox yet.
mysql::Connection open_mysql_server(const Component& source, const std::string& dsn);

amqp::Connection open_broker(const Config& config, const std::string& name, const Stop* stop = nullptr);

std::vector<EndpointBinding> endpoint_bindings(const Config& config);

}  // namespace muskrat::cli

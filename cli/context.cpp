#include "cli/context.hpp"

#include <algorithm>
#include <cstdlib>

#include <unistd.h>

#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "common/jq.hpp"
#include "common/suggest.hpp"
#include "consumer/consumer.hpp"
#include "consumer/endpoints.hpp"
#include "relay/relay.hpp"
#include "relay/sources.hpp"

namespace muskrat::cli {

Schema schema() {
  Schema schema;
  for (const SourceKind& kind : source_kinds()) schema.sources.push_back(&kind);
  for (const EndpointKind& kind : endpoint_kinds()) schema.endpoints.push_back(&kind);
  schema.relay = relay_options();
  schema.consumer = consumer_options();
  schema.endpoint_common = endpoint_common_options();
  schema.validate_endpoint = check_endpoint;
  return schema;
}

std::string config_path(const Globals& globals) {
  if (!globals.config.empty()) return globals.config;
  const char* named = std::getenv("MUSKRAT_CONFIG");
  if (named && *named) return named;
  for (const char* path : {"muskrat.yaml", "/etc/muskrat/muskrat.yaml"}) {
    if (::access(path, F_OK) == 0) return path;
  }
  throw UsageError(
      "there is no configuration: neither --config nor $MUSKRAT_CONFIG names one, and neither ./muskrat.yaml nor "
      "/etc/muskrat/muskrat.yaml is there");
}

Config load(const Globals& globals) {
  Loaded loaded = [&] {
    try {
      return load_config(config_path(globals), schema());
    } catch (const Failure& failure) {
      throw UsageError(failure.what());
    }
  }();
  jq::end_evaluator();
  if (loaded.ok()) return std::move(loaded.config);
  for (const Problem& problem : loaded.problems) complain(describe(problem) + "\n");
  throw BadConfiguration{};
}

const Component& find_component(const std::vector<Component>& components, const std::string& name,
                                std::string_view what) {
  std::vector<std::string_view> names;
  for (const Component& component : components) {
    if (component.name == name) return component;
    names.push_back(component.name);
  }
  throw UsageError("the configuration has no " + std::string(what) + " " + name + did_you_mean(name, names) +
                   "; it has " + listed(names));
}

void require_one_source(const std::string& dsn, size_t sources, std::string_view remedy) {
  if (!dsn.empty() && sources > 1) throw UsageError("of which source is --dsn? " + std::string(remedy));
}

pg::Connection open_source(const Component& source, const std::string& dsn, const Stop* stop) {
  if (source.kind != "postgres") {
    throw UsageError("the source " + source.name + " is of kind " + source.kind +
                     "; this works with kind postgres only");
  }
  pg::Address address;
  address.application_name = "muskrat cli";
  address.dsn = dsn.empty() ? source.settings.fresh_secret("dsn") : dsn;
  if (dsn.empty()) address.password = source.settings.fresh_secret("password");
  return pg::Connection::open(address, Deadline::in(connect_time), stop);
}

namespace {

mysql::Address mysql_address(const Component& source, const std::string& dsn) {
  if (source.kind != "mysql") {
    throw UsageError("the source " + source.name + " is of kind " + source.kind + "; this works with kind mysql only" +
                     (source.kind == "postgres" ? " (in PostgreSQL it is CREATE EXTENSION muskrat)" : ""));
  }
  mysql::Address address;
  address.application_name = "muskrat cli";
  address.dsn = dsn.empty() ? source.settings.fresh_secret("dsn") : dsn;
  if (dsn.empty()) {
    address.password = source.settings.fresh_secret("password");
  } else if (const char* password = getenv("MYSQL_PWD"); password != nullptr) {
    address.password = password;
  }
  return address;
}

}  // namespace

mysql_outbox::Db open_mysql_source(const Component& source, const std::string& dsn, const Stop* stop) {
  return mysql_outbox::Db::open(mysql_address(source, dsn), connect_time, stop);
}

mysql::Connection open_mysql_server(const Component& source, const std::string& dsn) {
  return mysql::Connection::open(mysql_address(source, dsn), Deadline::in(connect_time));
}

amqp::Connection open_broker(const Config& config, const std::string& name, const Stop* stop) {
  return amqp::Connection::open(config.broker_now(), "muskrat " + name, Deadline::in(connect_time), stop);
}

std::vector<EndpointBinding> endpoint_bindings(const Config& config) {
  std::vector<EndpointBinding> bindings;
  for (const Component& endpoint : config.endpoints) {
    bindings.push_back({endpoint.name, endpoint.settings.texts("subscribe")});
  }
  return bindings;
}

}  // namespace muskrat::cli

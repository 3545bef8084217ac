// The texts that `muskrat init` makes: a commented muskrat.yaml, and the commands that come next.
//
// Used by cli/init.cpp, which finds out what they are about. Pure: no server, no file. Thread rule: free functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/captured.hpp"

namespace muskrat::cli {

struct InitTable {
  std::string relation;               // as in SQL: customers, sales."Order"
  std::string object;                 // Frontend.Customer
  std::vector<TableColumn> columns;   // to be captured
  std::vector<std::string> left_out;  // columns that look like secrets
  std::vector<std::string> key() const;
};

struct InitPlan {
  std::string source;                  // the source's name in the configuration
  std::string broker_url, source_dsn;  // without passwords
  std::string endpoint_dsn;            // of the analytics database; "" = a file endpoint instead
  std::string grantee;  // the source's user as SQL, who needs the extension's roles; "" = a superuser, who does not
  std::vector<InitTable> tables;
  std::string config_file;  // what the commands are told to use
};

// A table's object: "order_items" → "OrderItem", "customers" → "Customer".
std::string object_word(std::string_view table);
// Of its schema, where that is named: "tenant_a.users" → "TenantA".
std::string schema_word(std::string_view table);
// "frontend" → "Frontend": the first word of the routing keys.
std::string source_word(std::string_view source);
// Whether a column's name says that what it holds is nobody's business downstream: password_hash, api_token, …
bool looks_secret(std::string_view column);

std::string yaml_of(const InitPlan& plan);
// What to do next, as commands with a word on each. `extension_there`: CREATE EXTENSION has been done.
std::string next_steps(const InitPlan& plan, bool extension_there);

}  // namespace muskrat::cli

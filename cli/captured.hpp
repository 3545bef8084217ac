// What a PostgreSQL source captures: its attachments, and for each member of the body the type that a column for it
// needs.
//
// Used by the verbs that compare both ends or prepare the other one: endpoint ddl, init, verify. Thread rule: the main
// thread. It does not read rows.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/pg.hpp"

namespace muskrat::cli {

struct CapturedMember {
  std::string path;  // in the body: "id", "subscription.volume"
  std::string type;  // of PostgreSQL, and such that another database has it too: an enum is text, a composite jsonb
  std::string column;
};

struct CapturedTable {
  std::string relation, object;           // "public.customers", "Frontend.Customer"
  std::vector<std::string> routing_keys;  // of its events: "Frontend.Customer.Signup", …
  std::vector<std::string> key;           // paths of the primary key's columns; empty when one of them is not captured
  std::vector<CapturedMember> members;

  // The type of what stands at a path of the body: a member's own, jsonb for an object of members. nullopt: nothing is
  // captured there.
  std::optional<std::string> type_at(std::string_view path) const;
};

// Attachments of one table under one object are one: what any of them captures. SqlError where the role may not look.
std::vector<CapturedTable> captured_tables(pg::Connection& source);

// Of an attachment's list of columns (as muskrat.attached shows it) the column at each path of the body.
std::map<std::string, std::string> captured_columns(pg::Connection& source, const std::string& table,
                                                    const std::string& list);

struct TableColumn {
  std::string name, type;  // the type as above
  bool primary = false;
};

// The columns of a table that can be captured, in their order. Empty when there is no such table.
std::vector<TableColumn> table_columns(pg::Connection& db, const std::string& table);

}  // namespace muskrat::cli

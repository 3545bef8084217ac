// The rows of a batch: what each event does to each table, and in which statement it travels.
//
// Used by the endpoints postgres and mysql, which say how a value is written for a column of theirs. A Row is one
// event's effect through one route. Rows that can share a multi-row statement (same route, same kind, same columns
// present) form a Group; two rows of one target row never do: the later one goes to a later round. Pure. Thread rule:
// plain values.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/event.hpp"
#include "consumer/endpoint.hpp"
#include "consumer/endpoints/sql/route.hpp"

namespace muskrat::sql {

enum class Effect { upsert, remove, append };

struct Row {
  size_t event = 0;  // index in the batch
  size_t route = 0;  // index in the endpoint's routes
  Effect effect = Effect::upsert;
  bool guarded = true;        // it has an (epoch, seq), or for append a message_id
  std::string identity;       // row key as JSON array; for append the message id
  std::vector<bool> present;  // by column
  std::vector<std::optional<std::string>> values;
};

struct Group {
  const Row* first = nullptr;  // stands for all in what they share
  size_t round = 0;
  std::vector<const Row*> rows;  // sorted by identity, so that lanes lock in one order
};

// The event's rows, one for each route that takes it (of a TRUNCATE, for each that appends); where there is none its
// outcome stands: skipped or dead, with a reason that names the column and never its value.
struct EventRows {
  std::vector<Row> rows;
  Outcome outcome;
};

// `text_of`: the text to send for a route's column; nullopt + why when this value cannot go there.
using TextOf =
    std::function<std::optional<std::string>(size_t route, size_t column, const FieldValue& field, std::string& why)>;
EventRows rows_of(const Event& event, const std::vector<Route>& routes, const TextOf& text_of,
                  const std::string& endpoint);

// By round, route and effect, then as first met. `tables` names each route's table. The rows outlive the groups.
std::vector<Group> group_rows(const std::vector<const Row*>& rows, const std::vector<std::string>& tables);
// The columns that travel: those present, or for a remove the key's.
std::vector<size_t> columns_of(const Group& group, const Route& route);

}  // namespace muskrat::sql

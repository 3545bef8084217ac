#include "consumer/endpoints/sql/rows.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

namespace muskrat::sql {
namespace {

Effect effect_of(const Event& event, const Route& route) {
  if (route.mode == Route::Mode::append) return Effect::append;
  return event.op == Op::remove ? Effect::remove : Effect::upsert;
}

bool take_values(const MappedRecord& record, const TextOf& text_of, const Route& route, Row& row, std::string& why) {
  for (size_t i = 0; i < record.fields.size(); ++i) {
    const FieldValue& field = record.fields[i];
    row.present.push_back(field.state != FieldValue::State::absent);
    row.values.emplace_back();
    if (field.state != FieldValue::State::value) continue;
    row.values.back() = text_of(row.route, i, field, why);
    if (row.values.back()) continue;
    why = "column " + route.fields.names()[i] + ": " + why;
    return false;
  }
  return true;
}

// 1.0 and 1.00 are one key, as they are in the ordering key.
std::string key_text(const std::string& text, bool number) {
  if (!number || text.find('.') == std::string::npos || text.find_first_of("eE") != std::string::npos) return text;
  const size_t last = text.find_last_not_of('0');
  return text.substr(0, text[last] == '.' ? last : last + 1);
}

bool take_key(const MappedRecord& record, const Route& route, Row& row, std::string& why) {
  std::string identity(1, '[');
  for (const size_t column : route.key) {
    if (!row.values[column]) {
      why = "key column " + route.fields.names()[column] + (row.present[column] ? " is null" : " is not in the event");
      return false;
    }
    if (identity.size() > 1) identity.push_back(',');
    identity.append(json::quote(key_text(*row.values[column], record.fields[column].number)));
  }
  identity.push_back(']');
  row.identity = std::move(identity);
  return true;
}

std::optional<Row> row_of(const FieldSource& source, const Route& route, size_t index, const TextOf& text_of,
                          std::string& why) {
  const Event& event = source.event;
  const auto record = route.fields.apply(source, why);
  if (!record) return std::nullopt;
  Row row;
  row.route = index;
  row.effect = effect_of(event, route);
  if (!take_values(*record, text_of, route, row, why)) return std::nullopt;
  if (row.effect == Effect::append) {
    row.identity = event.message_id;
    row.guarded = !event.message_id.empty();
    return row;
  }
  row.guarded = event.epoch != 0 || event.seq != 0;
  if (!take_key(*record, route, row, why)) return std::nullopt;
  return row;
}

}  // namespace

EventRows rows_of(const Event& event, const std::vector<Route>& routes, const TextOf& text_of,
                  const std::string& endpoint) {
  std::string why;
  const auto body = json::Document::parse(event.body, why);
  if (!body) return {{}, Outcome::dead("the body is not JSON: " + why)};
  const FieldSource source(event, body->root());
  EventRows found;
  found.outcome = Outcome::dead("no route of endpoint " + endpoint + " takes " + event.routing_key);
  for (size_t r = 0; r < routes.size(); ++r) {
    if (!routes[r].takes(event)) continue;
    const auto wanted = routes[r].when.holds(source, why);
    if (!wanted) return {{}, Outcome::dead("the `when` of the route to " + routes[r].table + ": " + why)};
    if (!*wanted) {
      found.outcome = Outcome::skipped("by the `when` of the route to " + routes[r].table);
      continue;
    }
    auto row = row_of(source, routes[r], r, text_of, why);
    if (!row) return {{}, Outcome::dead(why)};
    found.rows.push_back(std::move(*row));
  }
  if (!found.rows.empty()) found.outcome = Outcome::done();
  return found;
}

std::vector<Group> group_rows(const std::vector<const Row*>& rows, const std::vector<std::string>& tables) {
  using Kind = std::tuple<size_t, size_t, Effect, bool, std::vector<bool>>;  // round, route, …
  std::map<Kind, Group> groups;
  std::unordered_map<std::string, size_t> rounds;
  for (const Row* row : rows) {
    size_t round = 0;
    if (!row->identity.empty()) {
      const std::string place = row->effect == Effect::append ? std::to_string(row->route) : tables[row->route];
      round = rounds[place + '\n' + row->identity]++;
    }
    // A delete sends its key alone: which other columns the event has makes no difference.
    const bool key_only = row->effect == Effect::remove;
    Group& group =
        groups[{round, row->route, row->effect, row->guarded, key_only ? std::vector<bool>() : row->present}];
    if (!group.first) group.first = row;
    group.round = round;
    group.rows.push_back(row);
  }
  std::vector<Group> ordered;
  for (auto& [kind, group] : groups) {
    std::sort(group.rows.begin(), group.rows.end(),
              [](const Row* a, const Row* b) { return a->identity < b->identity; });
    ordered.push_back(std::move(group));
  }
  return ordered;
}

}  // namespace muskrat::sql

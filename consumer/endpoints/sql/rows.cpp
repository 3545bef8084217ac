#include "consumer/endpoints/sql/rows.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace muskrat::sql {
namespace {

Effect effect_of(const Event& event, const Route& route) {
  if (route.mode == Route::Mode::append) return Effect::append;
  return event.op == Op::remove ? Effect::remove : Effect::upsert;
}

bool take_values(const MappedRecord& record, const TextOf& text_of, const Route& route, Row& row, std::string& why) {
  row.present.reserve(record.fields.size());
  row.values.reserve(record.fields.size());
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
  found.rows.reserve(routes.size());
  bool passed_by = false;
  for (size_t r = 0; r < routes.size(); ++r) {
    if (!routes[r].takes(event)) continue;
    if (event.op == Op::truncate && routes[r].mode == Route::Mode::upsert) {
      found.outcome = Outcome::done();  // its table is emptied, there is no row
      passed_by = true;
      continue;
    }
    const auto wanted = routes[r].when.holds(source, why);
    if (!wanted) return {{}, Outcome::dead("the `when` of the route to " + routes[r].table + ": " + why)};
    if (!*wanted) {
      found.outcome = Outcome::skipped("by the `when` of the route to " + routes[r].table);
      passed_by = true;
      continue;
    }
    auto row = row_of(source, routes[r], r, text_of, why);
    if (!row) return {{}, Outcome::dead(why)};
    found.rows.push_back(std::move(*row));
  }
  if (!found.rows.empty())
    found.outcome = Outcome::done();
  else if (!passed_by)
    found.outcome = Outcome::dead("no route of endpoint " + endpoint + " takes " + event.routing_key);
  return found;
}

namespace {

// What rows of one statement have in common. A delete sends its key alone: which other columns the event has makes no
// difference.
bool one_statement(const Row& a, const Row& b) {
  return a.route == b.route && a.effect == b.effect && a.guarded == b.guarded &&
         (a.effect == Effect::remove || a.present == b.present);
}

// How many rows of the same target row came before each.
std::vector<size_t> rounds_of(const std::vector<const Row*>& rows, const std::vector<std::string>& tables) {
  // rows without an identity stand for themselves; an append's identity counts within its route
  const auto place_of = [&](const Row& row) {
    const auto same = std::find(tables.begin(), tables.end(), tables[row.route]) - tables.begin();
    return row.effect == Effect::append ? tables.size() + row.route : static_cast<size_t>(same);
  };
  std::vector<std::unordered_map<std::string_view, size_t>> met(tables.size() * 2);
  std::vector<size_t> rounds;
  rounds.reserve(rows.size());
  for (const Row* row : rows) rounds.push_back(row->identity.empty() ? 0 : met[place_of(*row)][row->identity]++);
  return rounds;
}

}  // namespace

std::vector<Group> group_rows(const std::vector<const Row*>& rows, const std::vector<std::string>& tables) {
  const std::vector<size_t> rounds = rounds_of(rows, tables);
  std::vector<Group> groups;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto mine = [&](const Group& group) {
      return group.round == rounds[i] && one_statement(*group.first, *rows[i]);
    };
    // nearly always the last one
    auto group = std::find_if(groups.rbegin(), groups.rend(), mine);
    if (group == groups.rend()) {
      groups.push_back({rows[i], rounds[i], {}});
      group = groups.rbegin();
    }
    group->rows.push_back(rows[i]);
  }
  // lanes take tables in one order too
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return std::tuple(a.round, a.first->route, a.first->effect) < std::tuple(b.round, b.first->route, b.first->effect);
  });
  for (Group& group : groups)
    std::sort(group.rows.begin(), group.rows.end(),
              [](const Row* a, const Row* b) { return a->identity < b->identity; });
  return groups;
}

std::vector<size_t> columns_of(const Group& group, const Route& route) {
  if (group.first->effect == Effect::remove) return route.key;
  std::vector<size_t> columns;
  for (size_t i = 0; i < group.first->present.size(); ++i)
    if (group.first->present[i]) columns.push_back(i);
  return columns;
}

}  // namespace muskrat::sql

#include "consumer/endpoints/sql/explain.hpp"

#include <algorithm>

#include "consumer/endpoints/sql/rows.hpp"

namespace muskrat::sql {
namespace {

std::string start_of(const Route& route, const char* effect) {
  return "{\"table\":" + json::quote(route.table) + ",\"effect\":\"" + effect + "\"";
}

const char* word_of(Effect effect) {
  return effect == Effect::append ? "append" : effect == Effect::remove ? "delete" : "upsert";
}

std::string words_of(const Row& row, const Route& route) {
  std::string values;
  for (size_t i = 0; i < row.values.size(); ++i) {
    const bool key = std::find(route.key.begin(), route.key.end(), i) != route.key.end();
    if (!row.present[i] || (row.effect == Effect::remove && !key)) continue;
    values += (values.empty() ? "" : ",") + json::quote(route.fields.names()[i]) + ":" + row.values[i].value_or("null");
  }
  return start_of(route, word_of(row.effect)) + ",\"values\":{" + values + "}}";
}

EventRows rows_as_json(const Component& component, const Event& event, const std::vector<Route>& routes) {
  const auto as_json = [](size_t, size_t, const FieldValue& field, std::string&) { return field.json_text(); };
  return rows_of(event, routes, as_json, component.name);
}

Explanation explain_truncate(const Component& component, const Event& event, const std::vector<Route>& routes) {
  if (component.settings.text("on_truncate") == "dead")
    return {Explanation::Fate::dead, "TRUNCATE at the source (on_truncate: dead)"};
  const EventRows found = rows_as_json(component, event, routes);
  if (found.outcome.fate == Outcome::Fate::dead) return {Explanation::Fate::dead, found.outcome.reason};
  std::string tables;
  for (const Route& route : routes)
    if (route.mode == Route::Mode::upsert && route.takes(event))
      tables += (tables.empty() ? "" : ",") + start_of(route, "truncate") + "}";
  for (const Row& row : found.rows) tables += "," + words_of(row, routes[row.route]);
  return {Explanation::Fate::sends, "[" + tables + "]"};
}

bool truncates(const Event& event, const std::vector<Route>& routes) {
  return event.op == Op::truncate && std::any_of(routes.begin(), routes.end(), [&](const Route& route) {
           return route.mode == Route::Mode::upsert && route.takes(event);
         });
}

}  // namespace

Explanation explain(const Component& component, const Event& event) {
  std::vector<Problem> problems;
  const std::vector<Route> routes = read_routes(component.settings, problems);
  if (truncates(event, routes)) return explain_truncate(component, event, routes);
  const EventRows found = rows_as_json(component, event, routes);
  if (found.outcome.fate == Outcome::Fate::dead) return {Explanation::Fate::dead, found.outcome.reason};
  if (found.rows.empty()) return {Explanation::Fate::skips, found.outcome.reason};
  std::string rows;
  for (const Row& row : found.rows) rows += (rows.empty() ? "" : ",") + words_of(row, routes[row.route]);
  return {Explanation::Fate::sends, "[" + rows + "]"};
}

}  // namespace muskrat::sql

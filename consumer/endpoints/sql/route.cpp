#include "consumer/endpoints/sql/route.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "common/event.hpp"

namespace muskrat::sql {
namespace {

void read_patterns(const Settings& record, Route& route, std::vector<Problem>& problems) {
  for (const std::string& pattern : record.texts("on")) {
    std::string why;
    if (const auto binding = binding_of_pattern(pattern, &why))
      route.bindings.push_back(*binding);
    else
      problems.push_back({record.where("on"), "pattern " + pattern + ": " + why});
  }
}

void read_key(const Settings& record, Route& route, std::vector<Problem>& problems) {
  const auto& names = route.fields.names();
  for (const std::string& column : record.texts("key")) {
    const auto found = std::find(names.begin(), names.end(), column);
    if (found == names.end())
      problems.push_back(
          {record.where("key"), "key column " + column + " is not among the route's columns; add it there"});
    else
      route.key.push_back(static_cast<size_t>(found - names.begin()));
  }
  if (route.mode == Route::Mode::upsert && record.texts("key").empty())
    problems.push_back(
        {record.where("key"),
         "the route to " + route.table + " needs a key: the columns of a unique index of the table (or mode: append)"});
}

// A guard is kept per route: names keep them apart when routes are moved about in the file.
void check_names(const Settings& settings, const std::vector<Route>& routes, std::vector<Problem>& problems) {
  std::map<std::string, std::map<std::string, int>> names;
  for (const Route& route : routes) ++names[route.table][route.name];
  for (size_t i = 0; i < routes.size(); ++i)
    if (names[routes[i].table][routes[i].name] > 1)
      problems.push_back(
          {settings.records("routes")[i].where("name"),
           "several routes go to " + routes[i].table + ": give each a name of its own (name: …), and keep it"});
}

OptionTable route_options() {
  static const std::array options{
      Option{
          "on", OptionType::text_list, "", "",
          "Patterns of the routing keys this route takes, such as Frontend.Customer.*; default: all that the endpoint "
          "subscribes to. An event goes through every route that takes it."},
      Option{"table", OptionType::text, "", "", "The target table, with its schema where it is not in the search path.",
             true},
      Option{"key", OptionType::text_list, "", "",
             "The target columns that identify a row; a unique index must stand on exactly these (mode upsert)."},
      Option{"mode", OptionType::choice, "upsert", "upsert|append",
             "upsert: the table mirrors the source's rows, deletes included; append: every event becomes a row, once."},
      Option{"name", OptionType::text, "", "",
             "Tells several routes to one table apart; the state kept for each hangs on it, so keep it."},
      Option{"when", OptionType::records, "", "",
             "The route takes only events for which this holds; a row that stops matching stays as it is.", false,
             condition_options()},
      Option{"columns", OptionType::records, "", "", "The columns to fill; see the field table.", true,
             field_options()},
  };
  return options;
}

}  // namespace

Option routes_option() {
  return {"routes", OptionType::records, "", "", "Which events go into which table.", true, route_options()};
}

Option seen_for_option() {
  return {"seen_for", OptionType::duration, "30d", "1h..3650d",
          "How long the message ids of append routes are remembered; longer than the outbox's retention and the "
          "longest time an event can wait in the queue."};
}

bool Route::takes(const Event& event) const {
  if (bindings.empty()) return true;
  const std::vector<std::string> keys = routing_keys_of(event);
  return std::any_of(bindings.begin(), bindings.end(), [&](const std::string& binding) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const std::string& word) { return binding_matches(binding, word); });
  });
}

std::vector<Route> read_routes(const Settings& settings, std::vector<Problem>& problems) {
  std::vector<Route> routes;
  for (const Settings& record : settings.records("routes")) {
    Route route;
    route.name = record.text("name");
    route.table = record.text("table");
    route.mode = record.text("mode") == "append" ? Route::Mode::append : Route::Mode::upsert;
    route.when = Condition(record.records("when"), problems);
    route.fields = FieldTable(record.records("columns"), problems);
    read_patterns(record, route, problems);
    read_key(record, route, problems);
    routes.push_back(std::move(route));
  }
  if (routes.empty())
    problems.push_back({settings.where("routes"), "at least one route is needed: which events go into which table"});
  check_names(settings, routes, problems);
  return routes;
}

}  // namespace muskrat::sql

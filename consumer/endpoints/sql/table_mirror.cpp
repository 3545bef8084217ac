#include "consumer/endpoints/sql/table_mirror.hpp"

#include <algorithm>

namespace muskrat::sql {
namespace {

// The first two words, as a pattern for all that may come of this object.
std::string object_of(const Event& event) { return event.routing_key.substr(0, event.routing_key.rfind('.')); }

// Whether the binding takes events of this object alone.
bool confined_to(const std::string& binding, const std::string& object) { return binding.starts_with(object + "."); }

}  // namespace

TableMirror::TableMirror(const Component& component) : settings_(component.settings), name_(component.name) {
  std::vector<Problem> problems;
  routes_ = read_routes(component.settings, problems);
  if (!problems.empty()) throw Failure(Remedy::stop, problems.front().text);
}

void TableMirror::connect(std::span<const Event> told, Deadline deadline) {
  open(deadline);
  if (tables_.empty()) describe(told);
  shapes_.clear();
  for (size_t table = 0; table < compared_.size(); ++table) shapes_.push_back(discover(table, deadline));
  find_others(told, deadline);
}

bool TableMirror::takes(const Event& event) const {
  return std::any_of(compared_.begin(), compared_.end(), [&](const Route& route) { return route.takes(event); });
}

bool TableMirror::reached_by(size_t table, const std::string& routing_key) const {
  Event event;
  event.routing_key = routing_key;
  const auto& patterns = settings_.texts("subscribe");
  return compared_[table].takes(event) &&
         std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
           const auto binding = binding_of_pattern(pattern);
           return binding && binding_matches(*binding, routing_key);
         });
}

std::vector<Discrepancy> TableMirror::compare(std::span<const Event> events, bool with_values, Deadline deadline) {
  std::vector<EventRows> made;
  std::vector<Discrepancy> found;
  std::vector<const Row*> rows;
  made.reserve(events.size());
  const auto text = [&](size_t route, size_t column, const FieldValue& field, std::string& why) {
    return text_of(route, column, field, why);
  };
  for (size_t i = 0; i < events.size(); ++i) {
    made.push_back(rows_of(events[i], compared_, text, name_));
    if (made.back().outcome.fate == Outcome::Fate::dead && takes(events[i]))
      found.push_back({Discrepancy::Kind::refused, i, 0, "", {}, made.back().outcome.reason, {}});
    for (Row& row : made.back().rows) row.event = i;
  }
  for (const EventRows& event : made)
    for (const Row& row : event.rows) rows.push_back(&row);
  std::vector<std::string> names;
  for (const Shape& shape : shapes_) names.push_back(shape.identity);
  for (const Group& group : group_rows(rows, names))
    compare(group.rows, columns_of(group, compared_[group.first->route]), with_values, found, deadline);
  return found;
}

// ---- which tables ----

// The upsert routes that take rows of these kinds. A route whose condition asks for the event cannot be judged by the
// row.
void TableMirror::describe(std::span<const Event> told) {
  std::string why = "none of its routes takes " + told.front().routing_key + " (as " + told.front().as + ")";
  std::vector<Route> meant;
  for (Route& route : routes_) {
    if (!std::any_of(told.begin(), told.end(), [&](const Event& event) { return route.takes(event); })) continue;
    if (route.mode == Route::Mode::append) {
      why = "the route to " + route.table + " appends every event: there is no row of each row to compare";
    } else if (route.when.asks_for_the_event()) {
      why = "the `when` of the route to " + route.table + " asks for the op or action of an event, which a row has not";
    } else {
      tables_.push_back(described(route));
      meant.push_back(std::move(route));
    }
  }
  if (meant.empty()) throw Failure(Remedy::stop, "the endpoint " + name_ + " cannot be compared: " + why);
  compared_ = std::move(meant);
}

MirroredTable TableMirror::described(const Route& route) const {
  MirroredTable table;
  table.table = route.table;
  for (const size_t column : route.key) {
    table.key.push_back(route.fields.names()[column]);
    table.key_paths.push_back(route.fields.plain_copy_of(column));
  }
  for (size_t column = 0; column < route.fields.names().size(); ++column)
    if (route.fields.hangs_on_the_event(column)) table.uncompared.push_back(route.fields.names()[column]);
  return table;
}

// Rows that other events make are no rows too many. What can be known of that stands in the configuration, and in the
// endpoint's own record of what came from where.
void TableMirror::find_others(std::span<const Event> told, Deadline deadline) {
  const Event& event =
      *std::find_if(told.begin(), told.end(), [this](const Event& candidate) { return takes(candidate); });
  const std::string object = object_of(event);
  for (size_t i = 0; i < compared_.size(); ++i) {
    MirroredTable& table = tables_[i];
    const Route& route = compared_[i];
    table.key_types.clear();
    for (const size_t column : route.key) table.key_types.push_back(shapes_[i].types[column]);
    table.walk.clear();
    for (const size_t column : shapes_[i].walk)
      table.walk.push_back(
          static_cast<size_t>(std::find(route.key.begin(), route.key.end(), column) - route.key.begin()));
    table.copies.clear();
    if (digests() && plain(i))
      for (const size_t column : copied_columns(i))
        table.copies.emplace_back(route.fields.plain_copy_of(column), shapes_[i].types[column]);
    table.shared_with = other_route(i, object);
    if (table.shared_with.empty()) table.shared_with = other_origin(i, event.source, object, deadline);
  }
}

bool TableMirror::plain(size_t table) const {
  const Route& route = compared_[table];
  const std::vector<size_t> columns = copied_columns(table);
  return route.when.always() && std::none_of(columns.begin(), columns.end(),
                                             [&](size_t column) { return route.fields.plain_copy_of(column).empty(); });
}

std::string TableMirror::other_route(size_t table, const std::string& object) const {
  for (const std::string& binding : bindings_of(compared_[table]))
    if (!confined_to(binding, object)) return "events that " + binding + " takes";
  return "";
}

std::vector<std::string> TableMirror::bindings_of(const Route& route) const {
  if (!route.bindings.empty()) return route.bindings;
  std::vector<std::string> bindings;
  for (const std::string& pattern : settings_.texts("subscribe"))
    if (const auto binding = binding_of_pattern(pattern)) bindings.push_back(*binding);
  return bindings;
}

std::vector<size_t> TableMirror::copied_columns(size_t table) const {
  const Route& route = compared_[table];
  std::vector<size_t> columns;
  for (size_t column = 0; column < route.fields.names().size(); ++column)
    if (!route.fields.hangs_on_the_event(column)) columns.push_back(column);
  return columns;
}

// ---- comparing ----

void TableMirror::compare(const Rows& rows, const std::vector<size_t>& columns, bool with_values,
                          std::vector<Discrepancy>& found, Deadline deadline) {
  if (ask(rows, columns, compared_columns(rows.front()->route, columns), with_values, found, deadline)) return;
  if (rows.size() == 1) return found.push_back(refused(*rows.front(), columns, deadline));
  const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
  compare(Rows(rows.begin(), middle), columns, with_values, found, deadline);
  compare(Rows(middle, rows.end()), columns, with_values, found, deadline);
}

std::vector<size_t> TableMirror::compared_columns(size_t table, const std::vector<size_t>& columns) const {
  std::vector<size_t> compared;
  const Route& route = compared_[table];
  for (const size_t column : columns) {
    const bool key = std::find(route.key.begin(), route.key.end(), column) != route.key.end();
    if (!key && !route.fields.hangs_on_the_event(column)) compared.push_back(column);
  }
  return compared;
}

}  // namespace muskrat::sql

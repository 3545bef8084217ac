#include "cli/backfill_reach.hpp"

#include <algorithm>

#include "cli/confirmed.hpp"
#include "cli/context.hpp"
#include "common/event.hpp"
#include "consumer/endpoints/sql/route.hpp"

namespace muskrat::cli {
namespace {

Event event_of(const BackfillPlan::Part& part) {
  Event event;
  event.routing_key = part.object + ".Backfill";
  event.op = Op::backfill;
  event.as = part.words;
  return event;
}

bool subscribes(const Component& endpoint, const Event& event) {
  const auto& patterns = endpoint.settings.texts("subscribe");
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    const auto binding = binding_of_pattern(pattern);
    return binding && binding_matches(*binding, event.routing_key);
  });
}

// "" when each event finds a route; the endpoints without routes take everything.
std::string routes_problem(const Component& endpoint, const std::vector<Event>& events, bool& appends) {
  if (endpoint.kind != "postgres" && endpoint.kind != "mysql") return "";
  std::vector<Problem> ignored;
  const auto routes = sql::read_routes(endpoint.settings, ignored);
  for (const Event& event : events) {
    bool taken = false;
    for (const sql::Route& route : routes) {
      if (!route.takes(event)) continue;
      taken = true;
      appends |= route.mode == sql::Route::Mode::append;
    }
    if (!taken)
      return "none of its routes takes " + event.routing_key + " (as " + event.as + "): they would be dead letters";
  }
  return "";
}

Reach reach_of(const Component& endpoint, const std::vector<Event>& events, bool addressed) {
  Reach reach{endpoint.name, endpoint.kind, false, ""};
  const auto meant = std::any_of(events.begin(), events.end(),
                                 [&](const Event& event) { return addressed || subscribes(endpoint, event); });
  if (!meant) {
    reach.note = "does not subscribe to " + events.front().routing_key;
    return reach;
  }
  bool appends = endpoint.kind == "file";
  reach.note = routes_problem(endpoint, events, appends);
  reach.takes = reach.note.empty();
  if (appends && reach.takes) reach.note = "appends them";
  return reach;
}

}  // namespace

std::vector<Reach> reach_of(const Config& config, const BackfillPlan& plan, const std::string& to) {
  std::vector<Event> events;
  for (const BackfillPlan::Part& part : plan.parts) events.push_back(event_of(part));
  std::vector<Reach> reached;
  for (const Component& endpoint : config.endpoints) {
    if (to.empty() || to == endpoint.name) reached.push_back(reach_of(endpoint, events, !to.empty()));
  }
  return reached;
}

void require_way_to(const Config& config, const std::string& endpoint) {
  amqp::Connection broker = open_broker(config, "backfill");
  require_way_to_queue(broker, config.topology.queue(endpoint));
  broker.close(Deadline::in(std::chrono::seconds(2)));
}

}  // namespace muskrat::cli

#include "cli/guarded_rows.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "consumer/subscription.hpp"

namespace muskrat::cli {
namespace {

using Attachments = std::vector<const GuardedRows*>;

bool takes(Subscription& subscription, const GuardedRows& rows) {
  return std::any_of(rows.routing_keys.begin(), rows.routing_keys.end(), [&](const std::string& routing_key) {
    Event event;
    event.routing_key = routing_key;
    return subscription.takes(event);
  });
}

// Of one table and object. Attachments of the same columns tell the same of a row, each under conditions of its own.
bool tell_different_columns(const Attachments& list) {
  return std::any_of(list.begin(), list.end(),
                     [&](const GuardedRows* rows) { return rows->columns != list.front()->columns; });
}

std::string warning_of_columns(const Attachments& list) {
  std::string names;
  for (const GuardedRows* rows : list) names += (names.empty() ? "\"" : ", \"") + rows->attachment + "\"";
  return "guard: state, and " + list.front()->object + " has several attachments with different columns (" + names +
         " of " + list.front()->table +
         "): what one tells late is superseded by newer events of another; give each an endpoint of its own, or say "
         "guard: events where each event counts for itself";
}

std::string warning_of_key(const GuardedRows& rows) {
  return "guard: state, and the events of " + rows.object + " are ordered by " + rows.key + ", which several rows of " +
         rows.table +
         " may share: what comes late of one row is superseded by newer events of another; set guard_key to the "
         "members of the body that tell rows apart";
}

}  // namespace

std::vector<std::string> guard_warnings(const Settings& endpoint, const std::vector<GuardedRows>& attached) {
  std::vector<std::string> warnings;
  if (endpoint.text("guard") != "state") return warnings;
  Subscription subscription(endpoint.texts("subscribe"));
  std::map<std::tuple<std::string, std::string, std::string>, Attachments> by_object;
  for (const GuardedRows& rows : attached)
    if (takes(subscription, rows)) by_object[{rows.source, rows.table, rows.object}].push_back(&rows);
  for (const auto& [object, list] : by_object) {
    if (tell_different_columns(list)) warnings.push_back(warning_of_columns(list));
    for (const GuardedRows* rows : list)
      if (!rows->key.empty() && endpoint.texts("guard_key").empty()) warnings.push_back(warning_of_key(*rows));
  }
  return warnings;
}

}  // namespace muskrat::cli

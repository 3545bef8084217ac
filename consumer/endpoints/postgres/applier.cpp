#include "consumer/endpoints/postgres/applier.hpp"

#include <algorithm>
#include <map>

#include "consumer/endpoints/postgres/literals.hpp"

namespace muskrat::postgres {
namespace {

// What was passed over by one route may have been applied by another: the event counts as done then.
int weight(Outcome::Fate fate) {
  if (fate == Outcome::Fate::done) return 2;
  return fate == Outcome::Fate::superseded ? 1 : 0;
}

void improve(std::optional<Outcome::Fate>& fate, Outcome::Fate other) {
  if (!fate || weight(other) > weight(*fate)) fate = other;
}

std::string_view source_object(const Event& event) {
  return std::string_view(event.routing_key).substr(0, event.routing_key.rfind('.'));
}

// Rows of a group that go one by one, at most.
constexpr size_t most_alone = 4;

// Rows of one group that come from the same table of the same source share their scopes.
bool same_origin(const Event& a, const Event& b) {
  return a.source == b.source && source_object(a) == source_object(b);
}

}  // namespace

// The upsert routes of the same table: a delete or a TRUNCATE is one for all of them.
std::vector<size_t> Applier::siblings_of(size_t route) const {
  std::vector<size_t> siblings;
  for (size_t i = 0; i < routes_.size(); ++i)
    if (routes_[i].mode == Route::Mode::upsert && targets_[i].identity == targets_[route].identity)
      siblings.push_back(i);
  return siblings;
}

std::vector<int> Applier::scopes_of(const Event& event, const Row& row, Deadline deadline) {
  const auto scope = [&](size_t route, const std::string& source, const std::string& object) {
    return state_.scope(connection_, targets_[route].identity, source, object, routes_[route].name, deadline);
  };
  if (row.effect == Effect::append) return {scope(row.route, "", "")};
  if (row.effect == Effect::upsert) return {scope(row.route, event.source, std::string(source_object(event)))};
  std::vector<int> scopes;
  for (const size_t sibling : siblings_of(row.route))
    scopes.push_back(scope(sibling, event.source, std::string(source_object(event))));
  return scopes;
}

std::vector<Group> Applier::groups_of(const std::vector<const Row*>& rows) const {
  std::vector<std::string> tables;
  for (const Target& target : targets_) tables.push_back(target.identity);
  return sql::group_rows(rows, tables);
}

// A few rows go one by one: their statements run by plans that are kept, where one for arrays is planned each time,
// which costs more than the rows.
std::vector<Applier::Request> Applier::requests_of(std::span<const Event* const> batch, const Group& group, size_t few,
                                                   Deadline deadline) {
  std::vector<Request> requests;
  if (group.rows.size() <= few)
    for (size_t i = 0; i < group.rows.size(); ++i) {
      const Row& row = *group.rows[i];
      const Event& event = *batch[row.event];
      const std::vector<int> scopes = row.guarded ? scopes_of(event, row, deadline) : std::vector<int>{0};
      if (scopes.size() != 1) break;  // as many for all rows of a group
      requests.push_back(of_one_row(event, group, i, scopes.front()));
    }
  if (requests.empty()) requests.push_back(in_arrays(batch, group, deadline));
  return requests;
}

Applier::Request Applier::of_one_row(const Event& event, const Group& group, size_t row, int scope) {
  const Row& what = *group.rows[row];
  Request request{&group, row, Form::one_row, "", {}};
  request.sql = statement_of(group, routes_[what.route], targets_[what.route], state_, 1, Form::one_row);
  if (what.guarded) request.values.emplace_back(std::to_string(scope)), request.values.emplace_back(what.identity);
  if (what.guarded && what.effect != Effect::append)
    request.values.emplace_back(std::to_string(event.epoch)), request.values.emplace_back(std::to_string(event.seq));
  for (const size_t column : columns_of(group, routes_[what.route])) request.values.push_back(what.values[column]);
  return request;
}

Applier::Request Applier::in_arrays(std::span<const Event* const> batch, const Group& group, Deadline deadline) {
  const size_t route = group.first->route;
  const bool guarded = group.first->guarded, marked = guarded && group.first->effect != Effect::append;
  const std::vector<size_t> columns = columns_of(group, routes_[route]);
  ArrayLiteral n, scope, identity, epoch, seq;
  std::vector<ArrayLiteral> values(columns.size());
  std::vector<int> scopes{0};
  const Event* before = nullptr;
  for (size_t i = 0; i < group.rows.size(); ++i) {
    const Row& row = *group.rows[i];
    const Event& event = *batch[row.event];
    if (guarded && (before == nullptr || !same_origin(*before, event))) scopes = scopes_of(event, row, deadline);
    before = &event;
    for (const int id : scopes) {
      n.add_number(static_cast<int64_t>(i));
      scope.add_number(id);
      identity.add(row.identity);
      epoch.add_number(event.epoch);
      seq.add_number(event.seq);
      for (size_t c = 0; c < columns.size(); ++c) values[c].add(row.values[columns[c]]);
    }
  }
  Request request{&group, 0, Form::arrays, "", {}};
  request.sql = statement_of(group, routes_[route], targets_[route], state_, scopes.size(), Form::arrays);
  request.values.emplace_back(n.finish());
  if (guarded) request.values.emplace_back(scope.finish()), request.values.emplace_back(identity.finish());
  if (marked) request.values.emplace_back(epoch.finish()), request.values.emplace_back(seq.finish());
  for (ArrayLiteral& array : values) request.values.emplace_back(array.finish());
  return request;
}

// `results`: one for each request.
void Applier::transact(const std::vector<Request>& requests, std::vector<pg::Result>& results, Deadline deadline,
                       bool again) {
  const bool by_arrays =
      std::any_of(requests.begin(), requests.end(), [](const Request& r) { return r.form == Form::arrays; });
  std::vector<pg::Connection::Statement> statements;
  // A plan for arrays of ten, which is what one that is kept would be, compares a thousand rows with each other.
  if (by_arrays) statements = {{"BEGIN", {}}, {"SET LOCAL plan_cache_mode = force_custom_plan", {}}};
  const size_t before = statements.size();
  for (const Request& request : requests) {
    statements.push_back({request.sql, {}});
    statements.back().repeated = true;
    for (const auto& value : request.values) statements.back().params.emplace_back(value);
  }
  if (by_arrays) statements.push_back({"COMMIT", {}});  // a pipeline without is a transaction too
  try {
    results = connection_.pipeline(statements, deadline);
    results.erase(results.begin(), results.begin() + static_cast<std::ptrdiff_t>(before));
  } catch (const pg::SqlError& error) {
    if (by_arrays) connection_.exec("ROLLBACK", deadline);
    if (error.sqlstate() != "26000" || again) throw;
    transact(requests, results, deadline, true);  // a pooler's other session
  }
}

void Applier::apply(std::span<const Event* const> batch, const std::vector<const Row*>& rows,
                    std::vector<Outcome>& outcomes, Deadline deadline) {
  const std::vector<Group> groups = groups_of(rows);
  std::vector<Request> requests;
  std::vector<pg::Result> results;
  const auto attempt = [&](size_t few) {
    requests.clear();
    for (const Group& group : groups)
      for (Request& request : requests_of(batch, group, few, deadline)) requests.push_back(std::move(request));
    transact(requests, results, deadline);
  };
  try {
    attempt(most_alone);
  } catch (const pg::SqlError& error) {
    // Rows that refer to one another, or exchange unique values, are right in one statement only.
    const bool together =
        std::any_of(requests.begin(), requests.end(), [](const Request& r) { return r.first_row > 0; });
    const std::string& state = error.sqlstate();
    if (!together || (state != "23503" && state != "23505" && state != "23P01")) throw;
    attempt(1);
  }

  std::vector<std::optional<Outcome::Fate>> fates(batch.size());
  for (size_t r = 0; r < requests.size(); ++r) {
    const Request& request = requests[r];
    std::vector<Outcome::Fate> of_rows(request.form == Form::arrays ? request.group->rows.size() : 1,
                                       Outcome::Fate::done);
    for (int i = 0; i < results[r].rows(); ++i)
      of_rows[static_cast<size_t>(results[r].int64(i, 0))] =
          results[r].text(i, 1) == "r" ? Outcome::Fate::repeated : Outcome::Fate::superseded;
    for (size_t i = 0; i < of_rows.size(); ++i)
      improve(fates[request.group->rows[request.first_row + i]->event], of_rows[i]);
  }
  for (size_t i = 0; i < fates.size(); ++i)
    if (fates[i]) outcomes[i] = {*fates[i], "", milliseconds(0)};
}

Outcome Applier::truncate(std::span<const Event* const> batch, size_t truncate, const std::vector<const Row*>& added,
                          Deadline deadline) {
  const Event& event = *batch[truncate];
  // A scope made inside the transaction would be remembered though it was rolled back.
  std::map<size_t, int> scopes;
  for (size_t i = 0; i < routes_.size(); ++i)
    if (routes_[i].mode == Route::Mode::upsert && routes_[i].takes(event))
      for (const size_t sibling : siblings_of(i))
        scopes[sibling] = state_.scope(connection_, targets_[sibling].identity, event.source,
                                       std::string(source_object(event)), routes_[sibling].name, deadline);
  const std::vector<Group> groups = groups_of(added);
  std::vector<Request> requests;
  for (const Group& group : groups)
    for (Request& request : requests_of(batch, group, most_alone, deadline)) requests.push_back(std::move(request));
  Outcome outcome{Outcome::Fate::repeated, "", milliseconds(0)};
  connection_.exec("BEGIN", deadline);
  try {
    for (const auto& [route, scope] : scopes) {
      const Outcome::Fate fate = truncate_one(event, targets_[route], scope, deadline);
      if (fate == Outcome::Fate::superseded) outcome = {fate, "", milliseconds(0)};
      if (fate == Outcome::Fate::superseded) break;
      if (fate == Outcome::Fate::done) outcome.fate = fate;
    }
    const bool late = outcome.fate == Outcome::Fate::superseded;
    for (size_t i = 0; i < requests.size() && !late; ++i) {
      const std::vector<pg::Param> values(requests[i].values.begin(), requests[i].values.end());
      const bool repeated = connection_.exec(requests[i].sql, values, deadline).rows() > 0;
      if (!repeated) outcome.fate = Outcome::Fate::done;
    }
    connection_.exec(late ? "ROLLBACK" : "COMMIT", deadline);
    return late ? Outcome::dead("TRUNCATE came late: newer rows are in place") : outcome;
  } catch (const pg::SqlError&) {
    connection_.exec("ROLLBACK", deadline);
    throw;
  }
}

Outcome::Fate Applier::truncate_one(const Event& event, const Target& target, int scope, Deadline deadline) {
  const std::string id = std::to_string(scope), epoch = std::to_string(event.epoch), seq = std::to_string(event.seq);
  const std::vector<pg::Param> params{id, epoch, seq};
  const std::string newer =
      "SELECT 1 FROM " + state_.guard() + " WHERE scope = $1::int AND (epoch, seq) > ($2::bigint, $3::bigint) LIMIT 1";
  const std::string mark = "UPDATE " + state_.scopes() +
                           " SET truncated_epoch = $2::bigint, truncated_seq = $3::bigint WHERE id = $1::int AND "
                           "(truncated_epoch, truncated_seq) < ($2::bigint, $3::bigint)";
  if (event.epoch != 0 || event.seq != 0) {
    if (connection_.exec(mark, params, deadline).affected() == 0) return Outcome::Fate::repeated;
    if (connection_.exec(newer, params, deadline).rows() > 0) return Outcome::Fate::superseded;
  }
  connection_.exec("TRUNCATE " + target.quoted, deadline);
  connection_.exec("DELETE FROM " + state_.guard() + " WHERE scope = " + id,
                   deadline);  // the scope's mark stands for them
  return Outcome::Fate::done;
}

std::string Applier::column_at_fault(const Row& row, Deadline deadline) {
  const Target& target = targets_[row.route];
  for (size_t i = 0; i < row.values.size(); ++i) {
    if (!row.values[i]) continue;
    const std::vector<pg::Param> params{*row.values[i]};
    try {
      connection_.exec("SELECT " + target.columns[i].from_text("$1::text"), params, deadline);
    } catch (const pg::SqlError&) {
      return routes_[row.route].fields.names()[i];
    }
  }
  return "";
}

}  // namespace muskrat::postgres

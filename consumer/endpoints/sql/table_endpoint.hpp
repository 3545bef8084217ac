// What endpoints into tables have in common: a batch becomes rows, the rows one transaction, and a refused one halves
// until the row that the server does not take stands alone.
//
// Used by the endpoints postgres and mysql, which say how a session begins and what a refusal means; `Database` names
// their parts: Connection, Error (thrown by a refused statement), Target, State, Applier, and discover(). Thread rule:
// its lane's thread.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/config.hpp"
#include "common/log.hpp"
#include "consumer/endpoint.hpp"
#include "consumer/endpoints/sql/route.hpp"
#include "consumer/endpoints/sql/rows.hpp"

namespace muskrat::sql {

// What a refused statement says: of the endpoint (it is not usable now), of the moment (another transaction was in the
// way), of the event for good, or of the event for now.
enum class Refusal { endpoint, collision, event, event_later };

template <typename Database>
class TableEndpoint : public Endpoint {
 public:
  using Connection = typename Database::Connection;
  using Error = typename Database::Error;
  using Applier = typename Database::Applier;

  TableEndpoint(const Component& component, std::string state_place)
      : settings_(component.settings),
        name_(component.name),
        routes_(checked_routes(component.settings)),
        state_(std::move(state_place), component.name) {}

  void connect(Deadline deadline) override {
    connection_.reset();
    try {
      connection_ = open(deadline);
      state_.prepare(*connection_, deadline);
      targets_.clear();
      for (const Route& route : routes_) targets_.push_back(Database::discover(*connection_, route, deadline));
    } catch (const Error& error) {
      connection_.reset();
      throw Failure(Remedy::reconnect, error.what());
    }
  }

  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override {
    std::vector<Outcome> outcomes(batch.size());
    rows_.assign(batch.size(), {});
    Events run;
    for (size_t i = 0; i < batch.size(); ++i) {
      if (is_truncate(*batch[i])) {
        apply(batch, run, outcomes, deadline);
        run.clear();
        outcomes[i] = truncate(batch, i, deadline);
      } else if (prepare(*batch[i], i, outcomes[i])) {
        run.push_back(i);
      }
    }
    apply(batch, run, outcomes, deadline);
    tidy(deadline);
    return outcomes;
  }

  void idle() override { tidy(Deadline::in(settings_.duration("timeout"))); }

 protected:
  // A session that is ready for statements.
  virtual Connection open(Deadline deadline) = 0;
  virtual Refusal refusal(const Error& error) const = 0;
  // What the server says of one event, without the server's own text, which may quote values. `rows`: the event's.
  virtual std::string reason(const Error& error, const std::vector<Row>& rows, Deadline deadline) = 0;

  Applier applier() { return Applier(*connection_, state_, routes_, targets_); }
  const Settings& settings() const { return settings_; }
  const std::string& name() const { return name_; }

 private:
  using Events = std::vector<size_t>;
  static constexpr milliseconds tidy_every{600'000};
  static constexpr milliseconds tidy_again{1'000};
  static constexpr int lock_attempts = 3;

  static std::vector<Route> checked_routes(const Settings& settings) {
    std::vector<Problem> problems;
    auto routes = read_routes(settings, problems);
    if (!problems.empty()) throw Failure(Remedy::stop, problems.front().text);
    return routes;
  }

  bool is_truncate(const Event& event) const {
    return event.op == Op::truncate && std::any_of(routes_.begin(), routes_.end(), [&](const Route& route) {
             return route.mode == Route::Mode::upsert && route.takes(event);
           });
  }

  // The event's rows, one for each route that takes it; false: its outcome stands already.
  bool prepare(const Event& event, size_t index, Outcome& outcome) {
    const auto text_of = [&](size_t route, size_t column, const FieldValue& field, std::string& why) {
      return targets_[route].columns[column].text_of(field, why);
    };
    EventRows found = rows_of(event, routes_, text_of, name_);
    outcome = std::move(found.outcome);
    for (Row& row : found.rows) row.event = index;
    rows_[index] = std::move(found.rows);
    return !rows_[index].empty();
  }

  // All in one transaction; where the server refuses a row, by halves, until it stands alone.
  void apply(std::span<const Event* const> batch, const Events& events, std::vector<Outcome>& outcomes,
             Deadline deadline) {
    if (events.empty()) return;
    for (int attempt = 1;; ++attempt) {
      try {
        std::vector<const Row*> rows;
        for (const size_t event : events)
          for (const Row& row : rows_[event]) rows.push_back(&row);
        return applier().apply(batch, rows, outcomes, deadline);
      } catch (const Error& error) {
        const Refusal what = refusal(error);
        if (what == Refusal::endpoint) throw Failure(Remedy::reconnect, error.what());
        if (what == Refusal::collision && attempt < lock_attempts) continue;
        if (events.size() == 1) {
          outcomes[events.front()] = outcome_of(what, reason(error, rows_[events.front()], deadline));
          return;
        }
        const auto middle = events.begin() + static_cast<std::ptrdiff_t>(events.size() / 2);
        apply(batch, Events(events.begin(), middle), outcomes, deadline);
        return apply(batch, Events(middle, events.end()), outcomes, deadline);
      }
    }
  }

  static Outcome outcome_of(Refusal what, const std::string& why) {
    return what == Refusal::event ? Outcome::dead(why) : Outcome::retry(why);
  }

  // The rows of routes that append go with it.
  Outcome truncate(std::span<const Event* const> batch, size_t event, Deadline deadline) {
    Outcome outcome;
    prepare(*batch[event], event, outcome);
    if (outcome.fate == Outcome::Fate::dead) return outcome;
    try {
      std::vector<const Row*> rows;
      for (const Row& row : rows_[event]) rows.push_back(&row);
      return applier().truncate(batch, event, rows, deadline);
    } catch (const Error& error) {
      const Refusal what = refusal(error);
      if (what == Refusal::endpoint) throw Failure(Remedy::reconnect, error.what());
      return outcome_of(what, reason(error, rows_[event], deadline));
    }
  }

  void tidy(Deadline deadline) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!connection_ || now < tidy_at_) return;
    try {
      const bool more = state_.forget_seen(*connection_, settings_.duration("seen_for"), deadline);
      tidy_at_ = now + (more ? tidy_again : tidy_every);
    } catch (const Error& error) {
      tidy_at_ = now + tidy_every;
      log::warning("consumer", "old message ids not forgotten", {{"endpoint", name_}, {"why", error.what()}});
    }
  }

  const Settings& settings_;
  const std::string name_;
  const std::vector<Route> routes_;
  typename Database::State state_;
  std::vector<typename Database::Target> targets_;  // one for each route
  std::vector<std::vector<Row>> rows_;              // of the batch in hand, by event
  std::optional<Connection> connection_;
  SteadyTime tidy_at_{};
};

}  // namespace muskrat::sql

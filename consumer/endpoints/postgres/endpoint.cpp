// The endpoint kind `postgres`: events become rows of tables, in one transaction with the guard that makes them count
// once.
//
// Parts: route (which events, which table), target (the catalog), rows (events → rows), statements (SQL), applier (one
// transaction), state (guard and seen). docs/endpoints.md says what is promised.
//
// How a refusal is judged: what the server says of one row (classes 22, 23, 44, P0 …) is that event's fate, and the
// batch is halved until it stands alone; a foreign key that is not there yet may come, a unique value may become free;
// a table, column or right that is missing is the endpoint's trouble and no event's.
#include <array>

#include "common/log.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/endpoints/postgres/applier.hpp"
#include "consumer/endpoints/postgres/mirror.hpp"
#include "consumer/endpoints/sql/explain.hpp"

namespace muskrat {
namespace postgres {
namespace {

constexpr milliseconds tidy_every{600'000};
constexpr milliseconds tidy_again{1'000};
constexpr int lock_attempts = 3;

enum class Verdict { endpoint, collision, event, event_later };

Verdict verdict_of(const pg::SqlError& error) {
  const std::string& state = error.sqlstate();
  const std::string group = state.substr(0, 2);
  if (state == "40001" || state == "40P01" || state == "55P03") return Verdict::collision;
  // a parent not there yet; a value that a row of another ordering key is about to give up
  if (state == "23503" || state == "23505" || state == "23P01") return Verdict::event_later;
  if (error.transient() || group == "42" || group == "3F" || group == "3D" || group == "28" || group == "25")
    return Verdict::endpoint;
  return Verdict::event;
}

class PostgresEndpoint : public Endpoint {
 public:
  explicit PostgresEndpoint(const Component& component)
      : settings_(component.settings),
        name_(component.name),
        routes_(checked_routes(component.settings)),
        state_(component.settings.text("state_schema"), component.name) {}

  void connect(Deadline deadline) override {
    connection_.reset();
    try {
      connection_ = pg::Connection::open(address(), deadline);
      set_session(deadline);
      state_.prepare(*connection_, deadline);
      targets_.clear();
      for (const Route& route : routes_) targets_.push_back(discover(*connection_, route, deadline));
    } catch (const pg::SqlError& error) {
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
        outcomes[i] = truncate(*batch[i], deadline);
      } else if (prepare(*batch[i], i, outcomes[i])) {
        run.push_back(i);
      }
    }
    apply(batch, run, outcomes, deadline);
    tidy(deadline);
    return outcomes;
  }

  void idle() override { tidy(Deadline::in(settings_.duration("timeout"))); }

 private:
  using Events = std::vector<size_t>;

  static std::vector<Route> checked_routes(const Settings& settings) {
    std::vector<Problem> problems;
    auto routes = sql::read_routes(settings, problems);
    if (!problems.empty()) throw Failure(Remedy::stop, problems.front().text);
    return routes;
  }

  pg::Address address() const {
    return {settings_.fresh_secret("dsn"), settings_.has("password") ? settings_.fresh_secret("password") : "",
            "muskrat consume " + name_};
  }

  void set_session(Deadline deadline) {
    const std::string timeout = std::to_string(settings_.duration("timeout").count());
    // What is acknowledged must be durable; a late commit of a call that we gave up on must not happen.
    connection_->exec(
        "SET jit = off; SET default_transaction_isolation = 'read committed'; SET DateStyle = 'ISO, YMD'; "
        "SET lc_monetary = 'C'; SET "
        "statement_timeout = " +
            timeout + "; SET idle_in_transaction_session_timeout = " + timeout +
            "; SELECT pg_catalog.set_config('synchronous_commit', 'on', false) WHERE "
            "pg_catalog.current_setting('synchronous_commit') = 'off'",
        deadline);
  }

  bool is_truncate(const Event& event) const {
    if (event.op != Op::truncate) return false;
    for (const Route& route : routes_)
      if (route.mode == Route::Mode::upsert && route.takes(event)) return true;
    return false;
  }

  // The event's rows, one for each route that takes it; false: its outcome stands already.
  bool prepare(const Event& event, size_t index, Outcome& outcome) {
    const auto text_of = [&](size_t route, size_t column, const FieldValue& field, std::string& why) {
      return targets_[route].columns[column].text_of(field, why);
    };
    sql::EventRows found = sql::rows_of(event, routes_, text_of, name_);
    outcome = std::move(found.outcome);
    for (sql::Row& row : found.rows) row.event = index;
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
        return Applier(*connection_, state_, routes_, targets_).apply(batch, rows, outcomes, deadline);
      } catch (const pg::SqlError& error) {
        const Verdict verdict = verdict_of(error);
        if (verdict == Verdict::endpoint) throw Failure(Remedy::reconnect, error.what());
        if (verdict == Verdict::collision && attempt < lock_attempts) continue;
        if (events.size() == 1) {
          outcomes[events.front()] = judge(error, verdict, rows_[events.front()], deadline);
          return;
        }
        const auto middle = events.begin() + static_cast<std::ptrdiff_t>(events.size() / 2);
        apply(batch, Events(events.begin(), middle), outcomes, deadline);
        return apply(batch, Events(middle, events.end()), outcomes, deadline);
      }
    }
  }

  // SQLSTATE, constraint and column; the server's text may quote values.
  Outcome judge(const pg::SqlError& error, Verdict verdict, const std::vector<Row>& rows, Deadline deadline) {
    std::string why = "SQLSTATE " + error.sqlstate();
    std::string column = error.column();
    if (error.sqlstate().starts_with("22"))
      for (const Row& row : rows)
        if (column.empty()) column = Applier(*connection_, state_, routes_, targets_).column_at_fault(row, deadline);
    if (!error.constraint().empty()) why += " constraint " + error.constraint();
    if (!column.empty()) why += " column " + column;
    return verdict == Verdict::event ? Outcome::dead(why) : Outcome::retry(why);
  }

  Outcome truncate(const Event& event, Deadline deadline) {
    try {
      return Applier(*connection_, state_, routes_, targets_).truncate(event, deadline);
    } catch (const pg::SqlError& error) {
      const Verdict verdict = verdict_of(error);
      if (verdict == Verdict::endpoint) throw Failure(Remedy::reconnect, error.what());
      return judge(error, verdict, {}, deadline);
    }
  }

  void tidy(Deadline deadline) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!connection_ || now < tidy_at_) return;
    try {
      const bool more = state_.forget_seen(*connection_, settings_.duration("seen_for"), deadline);
      tidy_at_ = now + (more ? tidy_again : tidy_every);
    } catch (const pg::SqlError& error) {
      tidy_at_ = now + tidy_every;
      log::warning("consumer", "old message ids not forgotten", {{"endpoint", name_}, {"why", error.what()}});
    }
  }

  const Settings& settings_;
  const std::string name_;
  const std::vector<Route> routes_;
  State state_;
  std::vector<Target> targets_;         // one for each route
  std::vector<std::vector<Row>> rows_;  // of the batch in hand, by event
  std::optional<pg::Connection> connection_;
  SteadyTime tidy_at_{};
};

std::span<const Option> endpoint_options() {
  static const std::array options{
      Option{"dsn", OptionType::text, "", "",
             "Where the database is: a libpq connection string or URI, such as host=db dbname=analytics user=muskrat.",
             true},
      Option{"password", OptionType::secret, "", "",
             "The password, where it is not in the DSN or in .pgpass; read anew at each connect."},
      Option{"state_schema", OptionType::text, "muskrat_endpoint", "",
             "The schema for the endpoint's own tables (scope, guard, seen); made when it is not there."},
      Option{"seen_for", OptionType::duration, "30d", "1h..3650d",
             "How long the message ids of append routes are remembered; longer than the outbox's retention and the "
             "longest time an event can wait in the queue."},
      Option{"routes", OptionType::records, "", "", "Which events go into which table.", true, sql::route_options()},
  };
  return options;
}

void validate(const Settings& settings, std::vector<Problem>& problems) { sql::read_routes(settings, problems); }

std::unique_ptr<Endpoint> make(const Component& component) { return std::make_unique<PostgresEndpoint>(component); }

}  // namespace
}  // namespace postgres

const EndpointKind& postgres_endpoint() {
  static const EndpointKind kind{
      {"postgres",
       "mirrors rows into tables of a PostgreSQL database (upsert by key, deletes included), or "
       "appends each event once",
       postgres::endpoint_options(), postgres::validate},
      postgres::make,
      4,
      false,
      milliseconds(0),
      sql::explain,
      postgres::make_mirror};
  return kind;
}

}  // namespace muskrat

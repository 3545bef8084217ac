// The endpoint kind `mysql`: events become rows of tables in MySQL or MariaDB, in one transaction with the guard that
// makes them count once. It promises what the kind `postgres` does; docs/endpoints.md says it for both.
//
// Parts: sql/route (which events, which table), sql/rows (events → rows), target (the catalog), applier (one
// transaction), state (guard and seen).
//
// How a refusal is judged: what the server says of one row is that event's fate, and the batch is halved until it
// stands alone; a foreign key that is not there yet may come, a unique value may become free; a table, column or right
// that is missing is the endpoint's trouble and no event's.
#include <algorithm>
#include <array>

#include "common/log.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/endpoints/mysql/applier.hpp"
#include "consumer/endpoints/sql/explain.hpp"

namespace muskrat {
namespace mysql_target {
namespace {

constexpr milliseconds tidy_every{600'000};
constexpr milliseconds tidy_again{1'000};
constexpr int lock_attempts = 3;

enum class Verdict { endpoint, collision, event, event_later };

Verdict verdict_of(const mysql::SqlError& error) {
  switch (error.code()) {
    case 1020:
    case 1205:
    case 1213:
      return Verdict::collision;
    case 1062:  // a value that a row of another ordering key is about to give up
    case 1451:
    case 1452:  // a parent not there yet
    case 1586:
      return Verdict::event_later;
    case 1153:  // larger than the server takes: in halves it may not be
      return Verdict::event;
    default:
      return error.transient() || error.sqlstate().starts_with("42") ? Verdict::endpoint : Verdict::event;
  }
}

class MysqlEndpoint : public Endpoint {
 public:
  explicit MysqlEndpoint(const Component& component)
      : settings_(component.settings),
        name_(component.name),
        routes_(checked_routes(component.settings)),
        state_(component.settings.text("state_prefix"), component.name) {}

  void connect(Deadline deadline) override {
    connection_.reset();
    try {
      mysql::Address address;
      address.dsn = settings_.fresh_secret("dsn");
      if (settings_.has("password")) address.password = settings_.fresh_secret("password");
      address.application_name = "muskrat consume " + name_;
      connection_ = mysql::Connection::open(address, deadline);
      // A lock that is waited for longer than half a call is a collision, not a lost connection.
      const int64_t seconds = std::max<int64_t>(settings_.duration("timeout").count() / 2000, 1);
      connection_->exec("SET SESSION innodb_lock_wait_timeout = " + std::to_string(seconds), deadline);
      state_.prepare(*connection_, deadline);
      targets_.clear();
      for (const sql::Route& route : routes_) targets_.push_back(discover(*connection_, route, deadline));
    } catch (const mysql::SqlError& error) {
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

  static std::vector<sql::Route> checked_routes(const Settings& settings) {
    std::vector<Problem> problems;
    auto routes = sql::read_routes(settings, problems);
    if (!problems.empty()) throw Failure(Remedy::stop, problems.front().text);
    return routes;
  }

  bool is_truncate(const Event& event) const {
    return event.op == Op::truncate && std::any_of(routes_.begin(), routes_.end(), [&](const sql::Route& route) {
             return route.mode == sql::Route::Mode::upsert && route.takes(event);
           });
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
        std::vector<const sql::Row*> rows;
        for (const size_t event : events)
          for (const sql::Row& row : rows_[event]) rows.push_back(&row);
        return Applier(*connection_, state_, routes_, targets_).apply(batch, rows, outcomes, deadline);
      } catch (const mysql::SqlError& error) {
        const Verdict verdict = verdict_of(error);
        if (verdict == Verdict::endpoint) throw Failure(Remedy::reconnect, error.what());
        if (verdict == Verdict::collision && attempt < lock_attempts) continue;
        if (events.size() == 1) {
          outcomes[events.front()] = judge(error, verdict);
          return;
        }
        const auto middle = events.begin() + static_cast<std::ptrdiff_t>(events.size() / 2);
        apply(batch, Events(events.begin(), middle), outcomes, deadline);
        return apply(batch, Events(middle, events.end()), outcomes, deadline);
      }
    }
  }

  // Number, SQLSTATE, constraint and column; the server's text may quote values.
  static Outcome judge(const mysql::SqlError& error, Verdict verdict) {
    std::string why = "error " + std::to_string(error.code()) + " SQLSTATE " + error.sqlstate();
    if (!error.constraint().empty()) why += " constraint " + error.constraint();
    if (!error.column().empty()) why += " column " + error.column();
    return verdict == Verdict::event ? Outcome::dead(why) : Outcome::retry(why);
  }

  Outcome truncate(const Event& event, Deadline deadline) {
    try {
      return Applier(*connection_, state_, routes_, targets_).truncate(event, deadline);
    } catch (const mysql::SqlError& error) {
      const Verdict verdict = verdict_of(error);
      if (verdict == Verdict::endpoint) throw Failure(Remedy::reconnect, error.what());
      return judge(error, verdict);
    }
  }

  void tidy(Deadline deadline) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!connection_ || now < tidy_at_) return;
    try {
      const bool more = state_.forget_seen(*connection_, settings_.duration("seen_for"), deadline);
      tidy_at_ = now + (more ? tidy_again : tidy_every);
    } catch (const mysql::SqlError& error) {
      tidy_at_ = now + tidy_every;
      log::warning("consumer", "old message ids not forgotten", {{"endpoint", name_}, {"why", error.what()}});
    }
  }

  const Settings& settings_;
  const std::string name_;
  const std::vector<sql::Route> routes_;
  State state_;
  std::vector<Target> targets_;              // one for each route
  std::vector<std::vector<sql::Row>> rows_;  // of the batch in hand, by event
  std::optional<mysql::Connection> connection_;
  SteadyTime tidy_at_{};
};

std::span<const Option> endpoint_options() {
  static const std::array options{
      Option{"dsn", OptionType::text, "", "",
             "Where the database is: mysql://user@host:port/database, or mysql://user@localhost/database?socket=/path.",
             true},
      Option{"password", OptionType::secret, "", "",
             "The password, where it is not in the DSN; read anew at each connect."},
      Option{"state_prefix", OptionType::text, "muskrat_", "",
             "What the names of the endpoint's own tables begin with (scope, guard, seen); made in the DSN's database "
             "when "
             "they are not there."},
      Option{"seen_for", OptionType::duration, "30d", "1h..3650d",
             "How long the message ids of append routes are remembered; longer than the outbox's retention and the "
             "longest time an event can wait in the queue."},
      Option{"routes", OptionType::records, "", "", "Which events go into which table.", true, sql::route_options()},
  };
  return options;
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  sql::read_routes(settings, problems);
  if (!settings.given("dsn")) return;
  try {
    mysql::parse_dsn(settings.text("dsn"));
  } catch (const Failure& failure) {
    problems.push_back({settings.where("dsn"), std::string("dsn: ") + failure.what(), true});
  }
}

std::unique_ptr<Endpoint> make(const Component& component) { return std::make_unique<MysqlEndpoint>(component); }

}  // namespace
}  // namespace mysql_target

const EndpointKind& mysql_endpoint() {
  static const EndpointKind kind{
      {"mysql",
       "mirrors rows into tables of a MySQL or MariaDB database (upsert by key, deletes included), or appends each "
       "event once",
       mysql_target::endpoint_options(), mysql_target::validate},
      mysql_target::make,
      4,
      false,
      milliseconds(0),
      sql::explain};
  return kind;
}

}  // namespace muskrat

#include <algorithm>
#include <cstdlib>
#include <map>

#include "cli/context.hpp"
#include "cli/progress.hpp"
#include "cli/status.hpp"
#include "cli/status_mysql.hpp"
#include "common/utc_text.hpp"
#include "relay/scheduled/run_times.hpp"
#include "relay/scheduled/source.hpp"
#include "relay/scheduled/state.hpp"
#include "relay/sources.hpp"

namespace muskrat::cli {
namespace {

// A run begins within a second of when it is due. One is missed when it is as late as the next, but neither after a
// moment, in which a relay may have been started anew, nor after days.
constexpr int64_t second_us = 1'000'000, least_late_us = 5 * second_us, most_late_us = 300 * second_us;

// Why a run that is due does not begin, where nothing else says so.
std::string why_late(const Component& source, const Config& config, const ScheduledState& state, const RunTimes& times,
                     int64_t due, int64_t now) {
  const RunHistory& history = state.history();
  const int64_t period = times.next(due, state.born_us(), due) - due;
  // The run before may have taken longer than to the next one.
  const int64_t idle = now - std::max(due, history.success_us.value_or(0));
  if (!history.trouble.empty() || idle < std::clamp(period, least_late_us, most_late_us)) return "";
  if (run_under_way(config, source.name)) return "";
  return "no run is under way on this machine: no relay runs it here (with this relay.state)";
}

// What the state file of this machine says: relays keep no other.
void ask_scheduled(const Component& source, const Config& config, SourceStatus& status) {
  const std::string path = scheduled_state_path(config.relay);
  status.place = path;
  const auto state = ScheduledState::find(path, source.name);
  if (!state) {
    status.items.push_back({"runs", "none that this machine knows of", ""});
    return;
  }
  const RunHistory& history = state->history();
  const int64_t now = wall_clock_us();
  const RunTimes times(source.settings, source.name);
  const int64_t next = times.next(history.begun_us, state->born_us(), now);
  status.items.push_back(
      {"last success", history.success_us ? utc_text(*history.success_us) : "never", history.trouble});
  status.items.push_back({"next run", utc_text(next), ""});
  if (const int64_t held = state->held().count(); held > 0)
    status.items.push_back(
        {"held", std::to_string(held), "no event can be made of them: see muskrat held list " + source.name});
  if (next < now) {
    status.items.push_back(
        {"late", span_text(milliseconds((now - next) / 1000)), why_late(source, config, *state, times, next, now)});
  }
}

SourceStatus ask_source(const Component& source, const Config& config, const Stop& stop) {
  SourceStatus status;
  status.name = source.name;
  status.kind = source.kind;
  if (kind_of(source).reader != nullptr) {
    try {
      ask_scheduled(source, config, status);
    } catch (const Failure& failure) {
      status.problem = failure.what();
    }
    return status;
  }
  if (source.kind == "braintree-webhooks") status.place = source.settings.text("listen") + source.settings.text("path");
  if (source.kind != "postgres" && source.kind != "mysql") return status;
  try {
    if (source.kind == "mysql") {
      ask_mysql_status(source, stop, status);
      return status;
    }
    pg::Connection db = open_source(source, "", &stop);
    status.place = db.place();
    const pg::Result rows = db.exec("SELECT item, value, problem FROM muskrat.status()", Deadline::in(answer_time));
    for (int i = 0; i < rows.rows(); ++i) {
      status.items.push_back(
          {std::string(rows.text(i, 0)), std::string(rows.text(i, 1)), std::string(rows.text(i, 2))});
    }
  } catch (const Failure& failure) {
    status.problem = failure.what();
  }
  return status;
}

std::string problem_of(const QueueStatus& queue) {
  if (!queue.messages) return "the queue is missing: run muskrat setup";
  if (!queue.dead) return "the queue of dead letters is missing: run muskrat setup";
  if (queue.parked && !queue.paused && *queue.consumers == 0) return "parked " + describe(*queue.parked);
  if (*queue.consumers == 0 && !queue.paused) return "nobody consumes: start muskrat consume";
  if (*queue.dead > 0) return "dead letters: see muskrat dead list " + queue.endpoint;
  return {};
}

// A host says every few seconds that an endpoint is parked; what none has repeated is of one that was killed.
constexpr int64_t believed_us = 60 * int64_t{1'000'000};

struct StateFacts {
  std::map<std::string, state::Pause> pauses;
  std::map<std::string, state::Parked> parked;
  std::map<std::string, std::vector<Job>> jobs;
};

// Where no state database can be asked, nobody counts as paused or parked.
StateFacts ask_state(const Config& config, Status& status) {
  StateFacts facts;
  status.state = state::describe(config.consumer);
  try {
    const auto store = state::find_store(config.consumer, Deadline::in(connect_time));
    if (!store) return facts;
    const Deadline deadline = Deadline::in(answer_time);
    for (state::Pause& pause : store->pauses(deadline)) facts.pauses[pause.endpoint] = std::move(pause);
    const int64_t now_us = wall_clock_us();
    for (state::Parked& parked : store->parked(deadline))
      if (std::abs(parked.seen_us - now_us) < believed_us) facts.parked[parked.endpoint] = std::move(parked);
    facts.jobs = read_jobs(*store, deadline);
  } catch (const Failure& failure) {
    status.state_problem = failure.what();
  }
  return facts;
}

template <typename Fact>
std::optional<Fact> fact_of(const std::map<std::string, Fact>& facts, const std::string& endpoint) {
  const auto found = facts.find(endpoint);
  return found == facts.end() ? std::nullopt : std::optional(found->second);
}

QueueStatus ask_queue(amqp::Connection& broker, const Topology& names, const std::string& endpoint,
                      const StateFacts& facts) {
  const Deadline deadline = Deadline::in(answer_time);
  QueueStatus status;
  status.endpoint = endpoint;
  status.queue = names.queue(endpoint);
  status.paused = fact_of(facts.pauses, endpoint);
  status.parked = fact_of(facts.parked, endpoint);
  status.jobs = fact_of(facts.jobs, endpoint).value_or(std::vector<Job>{});
  if (const auto state = broker.queue_state(status.queue, deadline)) {
    status.messages = state->messages;
    status.consumers = state->consumers;
  }
  if (const auto dead = broker.queue_state(names.dead_queue(endpoint), deadline)) status.dead = dead->messages;
  status.problem = problem_of(status);
  return status;
}

void ask_broker(const Config& config, const StateFacts& facts, const Stop& stop, Status& status) {
  amqp::Connection broker = open_broker(config, "status", &stop);
  status.broker = broker.server() + " at " + config.broker.place();
  for (const Component& endpoint : config.endpoints)
    status.queues.push_back(ask_queue(broker, config.topology, endpoint.name, facts));
  const auto unrouted = broker.queue_state(config.topology.unrouted(), Deadline::in(answer_time));
  if (!unrouted) {
    status.unrouted_problem = "the queue is missing: run muskrat setup";
  } else {
    status.unrouted = unrouted->messages;
    if (unrouted->messages > 0) status.unrouted_problem = "events that nothing subscribes to";
  }
  broker.close(Deadline::in(std::chrono::seconds(2)));
}

}  // namespace

size_t Status::problems() const {
  const auto bad = [](const auto& item) { return !item.problem.empty(); };
  size_t n =
      (broker_problem.empty() ? 0U : 1U) + (unrouted_problem.empty() ? 0U : 1U) + (state_problem.empty() ? 0U : 1U);
  n += static_cast<size_t>(std::count_if(queues.begin(), queues.end(), bad));
  for (const SourceStatus& source : sources) {
    n += (source.problem.empty() ? 0U : 1U) +
         static_cast<size_t>(std::count_if(source.items.begin(), source.items.end(), bad));
  }
  return n;
}

Status collect_status(const Config& config, const Stop& stop) {
  Status status;
  for (const Component& source : config.sources) {
    if (!stop.requested()) status.sources.push_back(ask_source(source, config, stop));
  }
  try {
    if (!stop.requested()) ask_broker(config, ask_state(config, status), stop, status);
  } catch (const Failure& failure) {
    status.broker_problem = failure.what();
  }
  return status;
}

}  // namespace muskrat::cli

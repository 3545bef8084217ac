// muskrat status: sources, queues, pauses, and what is wrong with them.
#include "cli/status.hpp"

#include <algorithm>

#include "cli/context.hpp"
#include "cli/event_text.hpp"
#include "cli/exit.hpp"
#include "cli/state_place.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/json.hpp"
#include "common/utc_text.hpp"
#include "consumer/endpoints.hpp"
#include "relay/sources.hpp"

namespace muskrat::cli {
namespace {

std::string figure(const std::optional<uint32_t>& n) { return n ? std::to_string(*n) : "-"; }

Colour colour_of(const std::string& problem) { return problem.empty() ? Colour::plain : Colour::red; }

std::string source_text(const SourceStatus& source) {
  std::string out = coloured(Colour::bold, "source " + source.name) + " (" + source.kind +
                    (source.place.empty() ? "" : ", " + source.place) + ")\n";
  if (!source.problem.empty()) return out + "  " + coloured(Colour::red, "! " + harmless(source.problem)) + "\n";
  Table table({"ITEM", "VALUE", "PROBLEM"});
  for (const SourceItem& item : source.items) {
    table.add({harmless(item.item), harmless(item.value), harmless(item.problem)}, colour_of(item.problem));
  }
  return out + (table.empty() ? "" : table.text("  "));
}

// Beside a problem, not in place of it. A paused endpoint that is consumed for is either draining, or its hosts keep
// their state elsewhere.
std::string remark_of(const QueueStatus& queue) {
  if (!queue.paused) return queue.problem;
  std::string remark = "paused " + harmless(describe(*queue.paused));
  if (queue.consumers.value_or(0) > 0)
    remark += " (still consumed for: its host is draining, or keeps its state elsewhere)";
  return remark + (queue.problem.empty() ? "" : "; " + queue.problem);
}

Colour colour_of(const QueueStatus& queue) {
  return queue.problem.empty() && queue.paused ? Colour::yellow : colour_of(queue.problem);
}

std::string broker_text(const Status& status) {
  if (!status.broker_problem.empty()) {
    return coloured(Colour::bold, "broker") + "\n  " + coloured(Colour::red, "! " + harmless(status.broker_problem)) +
           "\n";
  }
  Table table({"ENDPOINT", "QUEUE", "WAITING", "CONSUMERS", "DEAD", "PROBLEM"});
  for (const QueueStatus& queue : status.queues) {
    table.add({queue.endpoint, queue.queue, figure(queue.messages), figure(queue.consumers), figure(queue.dead),
               remark_of(queue)},
              colour_of(queue));
  }
  table.add({"(unrouted)", "", figure(status.unrouted), "", "", status.unrouted_problem},
            colour_of(status.unrouted_problem));
  return coloured(Colour::bold, "broker") + " (" + harmless(status.broker) + ")\n" + table.text("  ");
}

// What is under way at endpoints' servers; "" where nothing is.
std::string jobs_text(const Status& status) {
  Table table({"ENDPOINT", "JOB", "RECORDS", "STATE", "SINCE"});
  for (const QueueStatus& queue : status.queues)
    for (const Job& job : queue.jobs)
      table.add({queue.endpoint, harmless(job.what + " " + job.id), std::to_string(job.records), harmless(job.state),
                 utc_text(job.since_us)});
  return table.empty() ? "" : coloured(Colour::bold, "jobs under way") + "\n" + table.text("  ");
}

std::string status_text(const Status& status) {
  std::string out;
  for (const SourceStatus& source : status.sources) out += source_text(source) + "\n";
  out += broker_text(status);
  if (!status.state_problem.empty())
    out += "  " +
           coloured(Colour::red, "! which endpoints are paused is not known: " + harmless(status.state_problem)) + "\n";
  out += "\n";
  if (const std::string jobs = jobs_text(status); !jobs.empty()) out += jobs + "\n";
  const size_t problems = status.problems();
  return out +
         (problems == 0 ? coloured(Colour::green, "All is well.")
                        : coloured(Colour::red, counted(problems, "problem") + ".")) +
         "\n";
}

void add_figure(json::Object& object, const char* name, const std::optional<uint32_t>& n) {
  n ? object.add(name, static_cast<int64_t>(*n)) : object.add_null(name);
}

void add_problem(json::Object& object, const std::string& problem) {
  problem.empty() ? object.add_null("problem") : object.add("problem", problem);
}

json::Object source_json(const SourceStatus& source) {
  std::vector<json::Object> items;
  for (const SourceItem& item : source.items) {
    json::Object object;
    object.add("item", item.item).add("value", item.value);
    add_problem(object, item.problem);
    items.push_back(std::move(object));
  }
  json::Object object;
  object.add("name", source.name).add("kind", source.kind).add("place", source.place);
  add_problem(object, source.problem);
  object.add("items", items);
  return object;
}

void add_pause(json::Object& object, const std::optional<state::Pause>& pause) {
  if (!pause) return void(object.add_null("paused"));
  json::Object paused;
  paused.add("since", iso_time(pause->since_us)).add("by", pause->by).add("why", pause->why);
  object.add("paused", paused);
}

void add_parked(json::Object& object, const std::optional<state::Parked>& parked) {
  if (!parked) return void(object.add_null("parked"));
  json::Object facts;
  facts.add("until", iso_time(parked->until_us)).add("reason", parked->reason).add("why", parked->why);
  object.add("parked", facts);
}

void add_jobs(json::Object& object, const std::vector<Job>& jobs) {
  std::vector<json::Object> list;
  for (const Job& job : jobs) {
    json::Object facts;
    facts.add("id", job.id)
        .add("what", job.what)
        .add("records", static_cast<int64_t>(job.records))
        .add("since", iso_time(job.since_us))
        .add("state", job.state)
        .add("heard", iso_time(job.heard_us));
    list.push_back(std::move(facts));
  }
  object.add("jobs", list);
}

json::Object queue_json(const QueueStatus& queue) {
  json::Object object;
  object.add("endpoint", queue.endpoint).add("queue", queue.queue);
  add_figure(object, "messages", queue.messages);
  add_figure(object, "consumers", queue.consumers);
  add_figure(object, "dead", queue.dead);
  add_pause(object, queue.paused);
  add_parked(object, queue.parked);
  add_jobs(object, queue.jobs);
  add_problem(object, queue.problem);
  return object;
}

std::string status_json(const Status& status) {
  std::vector<json::Object> sources, queues;
  json::Object state;
  state.add("place", status.state);
  add_problem(state, status.state_problem);
  for (const SourceStatus& source : status.sources) sources.push_back(source_json(source));
  for (const QueueStatus& queue : status.queues) queues.push_back(queue_json(queue));
  json::Object broker, unrouted, object;
  broker.add("server", status.broker);
  add_problem(broker, status.broker_problem);
  add_figure(unrouted, "messages", status.unrouted);
  add_problem(unrouted, status.unrouted_problem);
  object.add("sources", sources)
      .add("broker", broker)
      .add("queues", queues)
      .add("unrouted", unrouted)
      .add("state", state);
  return object.add("problems", static_cast<int64_t>(status.problems())).text() + "\n";
}

// A state file that is not here would have told why nobody consumes, which jobs are under way, or how runs went.
void warn_of_absent_files(const Config& config, const Status& status) {
  const auto is_left_alone = [](const QueueStatus& queue) { return queue.consumers == 0U; };
  if (needs_state(config.endpoints) || std::any_of(status.queues.begin(), status.queues.end(), is_left_alone))
    warn_of_absent_state(config.consumer);
  const auto is_scheduled = [](const Component& source) { return kind_of(source).reader != nullptr; };
  if (std::any_of(config.sources.begin(), config.sources.end(), is_scheduled)) warn_of_absent_relay_state(config.relay);
}

class StatusVerb : public Command {
 public:
  explicit StatusVerb(Arguments& arguments) {
    arguments.flag("--json", json_, "One JSON object.");
    arguments.flag("--watch", watch_, "Again every two seconds, until Ctrl-C.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    Stop stop;
    SignalThread signals(stop);
    for (;;) {
      const Status status = collect_status(config, stop);
      if (stop.requested()) return exit_ok;
      // Drawn over the last one, without the flicker of clearing first.
      if (watch_ && on_terminal() && !json_) print("\033[H\033[J");
      print(json_ ? status_json(status) : status_text(status));
      warn_of_absent_files(config, status);
      if (!watch_) return status.problems() > 0 ? exit_problems : exit_ok;
      if (stop.wait(std::chrono::seconds(2))) return exit_ok;
    }
  }

 private:
  bool json_ = false, watch_ = false;
};

}  // namespace

std::unique_ptr<Command> make_status(Arguments& arguments) { return std::make_unique<StatusVerb>(arguments); }

}  // namespace muskrat::cli

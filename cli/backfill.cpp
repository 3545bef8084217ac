// muskrat backfill: rows that were there before travel as events.
//
// This file says what is asked for and shows the plan; backfill_run does it, backfill_source is the database. All state
// is in the database: the same command again, or --resume, goes on where a run ended, however it ended.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/agreement.hpp"
#include "cli/backfill_reach.hpp"
#include "cli/backfill_run.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/pace.hpp"
#include "cli/source_table.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"

namespace muskrat::cli {
namespace {

constexpr std::array<std::string_view, 2> walked_kinds{"postgres", "mysql"};

json::Object plan_json(const BackfillPlan& plan, const BackfillOrder& order, const std::vector<Reach>& reached) {
  std::vector<json::Object> parts, endpoints;
  for (const BackfillPlan::Part& part : plan.parts) {
    json::Object object;
    object.add("attachment", part.attachment).add("routing_key", part.object + ".Backfill").add("as", part.words);
    parts.push_back(std::move(object.add("conditional", part.conditional)));
  }
  for (const Reach& reach : reached) {
    json::Object object;
    object.add("endpoint", reach.endpoint).add("kind", reach.kind).add("takes", reach.takes).add("note", reach.note);
    endpoints.push_back(std::move(object));
  }
  json::Object object, document;
  object.add("table", plan.table).add("tables", plan.tables).add("rows", plan.rows);
  object.add("bytes", plan.rows * plan.row_bytes * static_cast<int64_t>(plan.parts.size()));
  order.endpoint.empty() ? object.add_null("to") : object.add("to", order.endpoint);
  object.add("attachments", parts).add("endpoints", endpoints);
  return std::move(document.add("plan", object));
}

class Backfill : public Command {
 public:
  explicit Backfill(Arguments& arguments) {
    arguments.positionals("TABLE", tables_, "The table, as in SQL; SOURCE.TABLE names the source too.");
    arguments.text("--source", "NAME", source_, "The source (default: the only one of kind postgres or mysql).");
    arguments.text("--to", "ENDPOINT", order_.endpoint,
                   "Only to this endpoint's queue, whatever it subscribes to (default: to all that subscribe).");
    arguments.text("--where", "SQL", order_.condition, "Only rows for which this expression holds.");
    arguments.text("--attachment", "NAME", order_.attachment,
                   "Only as this attachment tells them (default: each attachment of the table).");
    arguments.text("--rate", "N", rate_,
                   "At most so many rows a second, such as 500/s, or max for as fast as it goes (default 1000/s).");
    arguments.number("--chunk", "N", options_.chunk, 1, 10'000, "Rows locked and told at a time (default 500).");
    arguments.number("--backlog", "N", options_.backlog, 100, 10'000'000,
                     "Pause while more events than this wait for the relay (default 10000).");
    arguments.flag("--dry-run", dry_run_, "Print the plan and change nothing.");
    arguments.flag("--resume", resume_, "Go on with every backfill of yours that was not finished.");
    arguments.flag("--list", list_, "List the backfills, and how far each is.");
    arguments.number("--cancel", "ID", cancel_, 1, INT32_MAX, "End the backfill of this number; what was told stays.");
    arguments.flag("-y,--yes", yes_, "Do not ask.");
    arguments.flag("--json", options_.json, "JSON objects, one a line: the plan, the progress, the end.");
    arguments.text("--dsn", "DSN", dsn_,
                   "Connect with this instead of the source's dsn, as the table's owner; the password belongs into "
                   "PGPASSWORD, ~/.pgpass or MYSQL_PWD.");
  }

  int run(const Globals& globals) override {
    check_usage();
    const Config config = load(globals);
    const Component& source = source_of(config);
    if (!order_.endpoint.empty()) find_component(config.endpoints, order_.endpoint, "endpoint");
    Stop stop;
    SignalThread signals(stop);
    const auto db = open_backfill_source(source, dsn_);
    try {
      return act(config, source, *db, stop);
    } catch (const BrokenPipe&) {
      throw BrokenPipe{so_far_};
    }
  }

 private:
  int act(const Config& config, const Component& source, BackfillSource& db, const Stop& stop) {
    if (list_) return list(db);
    so_far_ = "Nothing was done.";
    if (cancel_ > 0) return cancel(db);
    if (resume_ && tables_.empty()) return resume(db, stop);
    return fill(config, source, db, stop);
  }

  void check_usage() {
    const int ways = (list_ ? 1 : 0) + (cancel_ > 0 ? 1 : 0) + (resume_ ? 1 : 0);
    if (ways > 1) throw UsageError("--list, --resume and --cancel exclude one another");
    if (tables_.size() > 1) throw UsageError("one table at a time: " + tables_[1] + " is one too many");
    if (tables_.empty() && ways == 0)
      throw UsageError("which table? Give TABLE or SOURCE.TABLE; or --list, --resume or --cancel");
    if (!tables_.empty() && (list_ || cancel_ > 0)) throw UsageError("--list and --cancel take no table");
    if (!rate_.empty()) options_.rate = rate_of(rate_, "rows");
  }

  const Component& source_of(const Config& config) {
    if (!tables_.empty()) order_.table = tables_.front();
    return source_of_table(config, walked_kinds, source_, order_.table);
  }

  // ---- a table ----

  int fill(const Config& config, const Component& source, BackfillSource& db, const Stop& stop) {
    const BackfillPlan plan = db.plan(order_);
    const std::vector<Reach> reached = reach_of(config, plan, order_.endpoint);
    if (options_.json) {
      print(plan_json(plan, order_, reached).text() + "\n");
    } else {
      print(plan_text(plan, reached, db.place(), source));
    }
    for (const Reach& reach : reached) {
      if (!order_.endpoint.empty() && !reach.takes)
        throw UsageError("the endpoint " + reach.endpoint + " would not take the events: " + reach.note);
    }
    if (!order_.endpoint.empty()) require_way_to(config, order_.endpoint);
    if (dry_run_) return exit_ok;
    const auto unfinished = db.find(order_);
    if (!unfinished && order_.endpoint.empty() && !yes_ &&
        !agreed("\nIt goes to all of them. Type the table's name to go on: ", order_.table)) {
      print("Nothing was done.\n");
      return exit_usage;
    }
    const int64_t id = unfinished ? *unfinished : db.start(order_);
    return go_on(db, entry_of(db, id), unfinished.has_value(), stop);
  }

  static BackfillEntry entry_of(BackfillSource& db, int64_t id) {
    for (BackfillEntry& entry : db.list())
      if (entry.id == id) return entry;
    throw Failure(Remedy::stop, "the backfill " + std::to_string(id) + " is gone");
  }

  std::string plan_text(const BackfillPlan& plan, const std::vector<Reach>& reached, const std::string& place,
                        const Component& source) const {
    std::string text = "Backfill of " + harmless(plan.table) + " in " + place + "\n";
    text += fmt::format("  about {} rows{}, some {} in the table (estimates)\n", plan.rows,
                        plan.tables == 1 ? "" : fmt::format(" in {} partitions", plan.tables),
                        bytes_text(plan.rows * plan.row_bytes));
    for (const BackfillPlan::Part& part : plan.parts) {
      text += "  as " + harmless(part.attachment) + ": " + part.object + ".Backfill, in the place of " +
              harmless(part.words) + (part.conditional ? ", where its condition holds" : "") + "\n";
      if (!part.problem.empty()) text += coloured(Colour::yellow, "    " + harmless(part.problem)) + "\n";
    }
    if (!order_.condition.empty()) text += "  only where " + harmless(order_.condition) + "\n";
    text += order_.endpoint.empty() ? "  to every queue that is bound to these routing keys; in this configuration:\n"
                                    : "  straight to one endpoint's queue:\n";
    Table table({"ENDPOINT", "KIND", "TAKES", ""});
    for (const Reach& reach : reached) {
      table.add({reach.endpoint, reach.kind, reach.takes ? "yes" : "no", harmless(reach.note)},
                reach.takes ? Colour::plain : Colour::yellow);
    }
    if (!table.empty()) text += table.text("    ");
    text += "  " + span_of(plan) + "\n";
    return text + "  the outbox keeps each event for the retention of source " + source.name +
           ": see that its disk has room\n";
  }

  std::string span_of(const BackfillPlan& plan) const {
    if (options_.rate == 0) return "as fast as it goes: who else uses the database will feel it";
    return fmt::format("at {} rows a second at most, which takes {} or more (--rate)", options_.rate,
                       span_text(milliseconds(plan.rows * 1000 / options_.rate)));
  }

  int go_on(BackfillSource& db, const BackfillEntry& entry, bool again, const Stop& stop) {
    so_far_ = "To go on: the same command, or muskrat backfill --resume.";
    if (!options_.json && again) {
      print(fmt::format("Backfill {}, begun {}, goes on: {} rows are behind it.\n", entry.id, entry.started_at,
                        entry.at.passed));
    }
    BackfillRun run(db, options_, stop);
    const bool done = run.run(entry);
    if (done) so_far_ = "The backfill itself is done.";
    report(run, entry, done);
    return done ? exit_ok : exit_problems;
  }

  void report(const BackfillRun& run, const BackfillEntry& entry, bool done) const {
    const BackfillState& at = run.at();
    if (options_.json) {
      json::Object object;
      object.add("backfill", entry.id).add("state", done ? "done" : "stopped").add("rows", at.passed);
      object.add("events", at.events).add("bytes", at.bytes).add("locked", at.later).add("ms", run.took().count());
      return print(object.text() + "\n");
    }
    const std::string figures = fmt::format("{} rows looked at, {} told ({} of events)", at.passed,
                                            counted(static_cast<size_t>(at.events), "event"), bytes_text(at.bytes));
    print(done ? fmt::format("Done in {}: {}. The relay publishes what waits.\n", span_text(run.took()), figures)
               : fmt::format("Stopped: {}. The same command, or muskrat backfill --resume, goes on.\n", figures));
  }

  // ---- those that there are ----

  int resume(BackfillSource& db, const Stop& stop) {
    int code = exit_ok;
    size_t found = 0;
    for (const BackfillEntry& entry : db.list()) {
      if (entry.state != "running" || !entry.mine) continue;
      ++found;
      if (!stop.requested()) code = std::max(code, go_on(db, entry, true, stop));
    }
    if (found == 0 && !options_.json) print("No backfill of yours is unfinished in " + db.place() + ".\n");
    return code;
  }

  int cancel(BackfillSource& db) {
    db.cancel(cancel_);
    so_far_ = "The backfill is cancelled.";
    print("Backfill " + std::to_string(cancel_) + " is cancelled; what it told stays told.\n");
    return exit_ok;
  }

  int list(BackfillSource& db) const {
    Table table({"ID", "TABLE", "TO", "STATE", "ROWS", "OF ABOUT", "EVENTS", "LOCKED", "STARTED", "BY"});
    for (const BackfillEntry& entry : db.list()) {
      if (options_.json) {
        json::Object object;
        object.add("backfill", entry.id).add("table", entry.table).add("attachments", entry.attachments);
        entry.endpoint.empty() ? object.add_null("to") : object.add("to", entry.endpoint);
        object.add("state", entry.state).add("rows", entry.at.passed).add("estimate", entry.estimate);
        object.add("events", entry.at.events).add("bytes", entry.at.bytes).add("locked", entry.at.later);
        print(object.add("started_at", entry.started_at).add("started_by", entry.started_by).text() + "\n");
        continue;
      }
      table.add({std::to_string(entry.id), harmless(entry.table), entry.endpoint.empty() ? "all" : entry.endpoint,
                 entry.state, std::to_string(entry.at.passed), std::to_string(entry.estimate),
                 std::to_string(entry.at.events), std::to_string(entry.at.later), entry.started_at,
                 harmless(entry.started_by)},
                entry.state == "running" ? Colour::yellow : Colour::plain);
    }
    if (options_.json) return exit_ok;
    print(table.empty() ? "There was no backfill in " + db.place() + ".\n" : table.text());
    return exit_ok;
  }

  BackfillOrder order_;
  BackfillRun::Options options_;
  std::vector<std::string> tables_;
  std::string source_, rate_, dsn_;
  std::string so_far_;  // for when nobody reads the output any more
  int64_t cancel_ = 0;
  bool dry_run_ = false, resume_ = false, list_ = false, yes_ = false;
};

}  // namespace

std::unique_ptr<Command> make_backfill(Arguments& arguments) { return std::make_unique<Backfill>(arguments); }

}  // namespace muskrat::cli

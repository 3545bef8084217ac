// muskrat replay: published events again. This file declares what can be asked for; the two ways are in replay_outbox
// and replay_unrouted.
#include "cli/replay.hpp"

#include <algorithm>

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/pace.hpp"
#include "cli/verbs.hpp"
#include "common/event.hpp"

namespace muskrat::cli {
namespace {

class Replay : public Command {
 public:
  explicit Replay(Arguments& arguments) {
    ReplayOrder& o = order_;
    arguments.positional("SOURCE", o.source, "The source's name in the configuration.");
    arguments.text("--to", "ENDPOINT", o.endpoint, "The endpoint whose queue gets them.");
    arguments.flag(
        "--to-all", o.to_all,
        "To the exchange, and so to every queue that is bound; what was for one endpoint alone, to that one.");
    arguments.text("--since", "TIME", o.since,
                   "Captured at or after this: 2h, 3d (ago), or 2026-11-25T10:00 (UTC unless it says otherwise).");
    arguments.text("--until", "TIME", o.until, "Captured before this.");
    arguments.texts("--key", "KEY", o.keys, "Of this ordering key, such as 'Frontend.Customer:[48239]'.");
    arguments.texts("--routing-key", "PATTERN", o.patterns,
                    "Whose routing key this pattern takes (default: what the endpoint, or any, subscribes to).");
    arguments.texts("--message-id", "ID", o.message_ids, "This event.");
    arguments.number("--after", "SEQ", o.after, 1, INT64_MAX, "Behind this x-muskrat-seq: to go on where one stopped.");
    arguments.text("--rate", "N", rate_,
                   "At most so many events a second, such as 500/s (default max: as fast as it goes).");
    arguments.flag("--all", o.all, "All that the outbox still has.");
    arguments.flag("--unrouted", o.unrouted,
                   "In the place of all that: what lies in the unrouted queue, to where it is bound now.");
    arguments.flag("--dry-run", o.dry_run, "Print the plan and change nothing.");
    arguments.flag("-y,--yes", o.yes, "Do not ask.");
    arguments.flag("--json", o.json, "JSON objects, one a line: the plan, the progress, the end.");
    arguments.text("--dsn", "DSN", o.dsn,
                   "Connect with this instead of the source's dsn; the password belongs into PGPASSWORD, ~/.pgpass or "
                   "MYSQL_PWD.");
  }

  int run(const Globals& globals) override {
    check_usage();
    const Config config = load(globals);
    const Component& source = find_component(config.sources, order_.source, "source");
    Stop stop;
    SignalThread signals(stop);
    if (order_.unrouted) return replay_unrouted(config, order_, stop);
    if (!order_.to_all) find_component(config.endpoints, order_.endpoint, "endpoint");
    return replay_outbox(config, source, order_, stop);
  }

 private:
  void check_usage() {
    ReplayOrder& o = order_;
    if (!rate_.empty()) o.rate = rate_of(rate_, "events");
    if (o.unrouted) {
      if (!o.endpoint.empty() || o.to_all || !o.since.empty() || !o.until.empty() || o.after > 0 || o.all)
        throw UsageError(
            "of the choices only --key, --routing-key and --message-id go with --unrouted: it publishes to whatever is "
            "bound");
      checked_bindings(o.patterns);
      return;
    }
    if (o.endpoint.empty() != o.to_all)
      throw UsageError(o.to_all ? "--to and --to-all contradict each other: give one of them"
                                : "to which endpoint? Give --to; or --to-all, or --unrouted");
    if (o.filtered() && o.all) throw UsageError("--all and a filter contradict each other: give one of them");
    if (!o.filtered() && !o.all && o.after == 0)
      throw UsageError("which events? Give --since, --until, --key, --routing-key, --message-id or --after; or --all");
    checked_bindings(o.patterns);
  }

  ReplayOrder order_;
  std::string rate_;
};

}  // namespace

std::vector<std::string> checked_bindings(const std::vector<std::string>& patterns) {
  std::vector<std::string> bindings;
  for (const std::string& pattern : patterns) {
    std::string why;
    const auto binding = binding_of_pattern(pattern, &why);
    if (!binding) throw UsageError("the pattern \"" + pattern + "\" can match no event: " + why);
    bindings.push_back(*binding);
  }
  return bindings;
}

bool any_binding_matches(const std::vector<std::string>& bindings, const std::string& routing_key) {
  return std::any_of(bindings.begin(), bindings.end(),
                     [&](const std::string& binding) { return binding_matches(binding, routing_key); });
}

std::unique_ptr<Command> make_replay(Arguments& arguments) { return std::make_unique<Replay>(arguments); }

}  // namespace muskrat::cli

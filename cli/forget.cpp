// muskrat forget: erases the events of some ordering keys, and says what it cannot reach.
//
// Outboxes first, so that nothing can be replayed from there into a place that was emptied already. Each step may be
// done again: whoever was interrupted gives the same command.
#include "cli/forget.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "cli/agreement.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/held_source.hpp"
#include "cli/state_place.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/json.hpp"

namespace muskrat::cli {
namespace {

// What no verb can do, for whoever answers the customer.
constexpr std::string_view beyond =
    "  - the table at the source, and what the endpoints were fed: databases, services, files, programs (delete the "
    "row at the source, and the deletion travels there)\n"
    "  - other consumers of the exchange, and queues and dead letters of endpoints that this configuration does not "
    "have\n"
    "  - events without an ordering key, and events of other keys that name the customer\n"
    "  - guards: the ordering key and a number, no body, in the host's state database and in muskrat_endpoint; without "
    "them an older event that is still on its way would bring the row back\n"
    "  - of scheduled sources, in the relay's state file: the keys of the rows that are compared (mode diff), the keys "
    "at which the cursor stands, Ids of Salesforce, hashes of what was sent; no body\n"
    "  - exported dead letters, logs of the servers, backups, replicas, the write-ahead log or binary log; the "
    "outbox's files until VACUUM, or until the segment is truncated\n";

class Forget : public Command {
 public:
  explicit Forget(Arguments& arguments) {
    arguments.texts("--key", "KEY", keys_, "This ordering key, as dead list shows it: 'Frontend.Customer:[48239]'.");
    arguments.text("--key-file", "FILE", key_file_,
                   "The keys in this file too, one a line: so they stand in no list of processes.");
    arguments.text("--source", "SOURCE", source_, "Of the outboxes only this source's (default: every source's).");
    arguments.flag("--dry-run", dry_run_, "Print what there is and change nothing.");
    arguments.flag("-y,--yes", yes_, "Do not ask.");
    arguments.flag("--json", json_, "JSON objects, one a line: the plan, the end.");
    arguments.text("--dsn", "DSN", dsn_,
                   "Connect to the source with this instead of its dsn; the password belongs into PGPASSWORD, "
                   "~/.pgpass or MYSQL_PWD.");
  }

  int run(const Globals& globals) override {
    try {
      return forget(globals);
    } catch (const BrokenPipe&) {
      throw BrokenPipe{erased_ == 0 ? "Nothing was erased."
                                    : counted(static_cast<size_t>(erased_), "event") +
                                          " erased, for good. Run it again: for the rest, and to see what is left."};
    }
  }

 private:
  struct Underway {
    std::string endpoint;
    int64_t messages;
  };

  int forget(const Globals& globals) {
    read_keys();
    const Config config = load(globals);
    if (!source_.empty()) find_component(config.sources, source_, "source");
    require_one_source(dsn_, source_.empty() ? config.sources.size() : 1, "Name it with --source");
    warn_of_relative_state(config.consumer);
    if (std::any_of(config.sources.begin(), config.sources.end(), runs_on_a_schedule))
      warn_of_relative_relay_state(config.relay);
    const auto places = places_of(config, keys_, source_, dsn_);
    const std::vector<Found> found = look(places);
    const std::vector<Underway> underway = underway_of(config);
    json_ ? print(plan_json(places, found, underway).text() + "\n") : show_plan(places, found, underway);
    if (total(found, &Found::events) == 0) return nothing_to_erase(found);
    if (dry_run_) return exit_ok;
    if (!yes_ && !agreed("\nThey will be gone for good. Type forget to go on: ", "forget")) {
      print("Nothing was erased.\n");
      return exit_usage;
    }
    return erase(places);
  }

  void read_keys() {
    if (!key_file_.empty()) {
      std::ifstream file(key_file_);
      if (!file) throw UsageError("cannot read " + key_file_ + ": " + std::strerror(errno));
      for (std::string line; std::getline(file, line);) {
        if (line.ends_with('\r')) line.pop_back();
        if (!line.empty()) keys_.push_back(line);
      }
    }
    if (keys_.empty()) throw UsageError("whose events? Give --key, once or more, or --key-file");
    if (std::find(keys_.begin(), keys_.end(), "") != keys_.end())
      throw UsageError("an empty --key would mean every event without one; give the ordering key");
    std::sort(keys_.begin(), keys_.end());
    keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
  }

  static std::vector<Found> look(const std::vector<std::unique_ptr<Place>>& places) {
    std::vector<Found> found;
    found.reserve(places.size());
    for (const auto& place : places) found.push_back(place->look());
    return found;
  }

  // Messages that wait in endpoints' queues: a host has some of them in hand, and nobody can look at the others.
  static std::vector<Underway> underway_of(const Config& config) {
    std::vector<Underway> underway;
    amqp::Connection broker = open_broker(config, "forget");
    for (const Component& endpoint : config.endpoints) {
      const auto state = broker.queue_state(config.topology.queue(endpoint.name), Deadline::in(answer_time));
      underway.push_back({endpoint.name, state ? int64_t{state->messages} : 0});
    }
    broker.close(Deadline::in(std::chrono::seconds(2)));
    return underway;
  }

  static int64_t total(const std::vector<Found>& found, int64_t Found::*what) {
    int64_t sum = 0;
    for (const Found& one : found) sum += one.*what;
    return sum;
  }

  void show_plan(const std::vector<std::unique_ptr<Place>>& places, const std::vector<Found>& found,
                 const std::vector<Underway>& underway) const {
    print("Events of " + counted(keys_.size(), "ordering key") + ":\n");
    Table table({"PLACE", "", "EVENTS", "NOTE"});
    for (size_t i = 0; i < places.size(); ++i)
      table.add({places[i]->kind, places[i]->name, std::to_string(found[i].events), note_of(found[i])});
    print(table.text("  "));
    print("Out of reach:\n");
    for (const Underway& one : underway) {
      if (one.messages == 0) continue;
      print("  - " + counted(static_cast<size_t>(one.messages), "message") + " waiting in the queue of " +
            one.endpoint + ", of whatever key; run it again when they have passed\n");
    }
    print(std::string(beyond));
  }

  static std::string note_of(const Found& found) {
    std::string note;
    if (found.waiting > 0)
      note = std::to_string(found.waiting) + " more not published yet, or held: run it again when they are";
    if (found.unseen > 0)
      note += (note.empty() ? "" : "; ") + std::to_string(found.unseen) + " messages behind these were not looked at";
    return note;
  }

  json::Object plan_json(const std::vector<std::unique_ptr<Place>>& places, const std::vector<Found>& found,
                         const std::vector<Underway>& underway) const {
    std::vector<json::Object> rows, queues;
    for (size_t i = 0; i < places.size(); ++i) {
      json::Object row;
      row.add("place", places[i]->kind).add("name", places[i]->name).add("events", found[i].events);
      rows.push_back(std::move(row.add("waiting", found[i].waiting).add("unseen", found[i].unseen)));
    }
    for (const Underway& one : underway) {
      json::Object row;
      queues.push_back(std::move(row.add("endpoint", one.endpoint).add("messages", one.messages)));
    }
    json::Object plan, document;
    plan.add("keys", static_cast<int64_t>(keys_.size())).add("places", rows).add("underway", queues);
    return std::move(document.add("plan", plan));
  }

  int nothing_to_erase(const std::vector<Found>& found) const {
    if (!json_)
      print(total(found, &Found::waiting) > 0 ? "Nothing can be erased yet.\n"
                                              : "Nothing was found: is the key as dead list or tail shows it?\n");
    return exit_problems;
  }

  // The place's part; what failed says what was done before it.
  static int64_t erase(Place& place, int64_t before) {
    try {
      return place.erase();
    } catch (const Failure& failure) {
      throw Failure(Remedy::stop, failure.what() + ("\n" + counted(static_cast<size_t>(before), "event")) +
                                      " in other places erased before that, for good. Run it again for the rest.");
    }
  }

  // And then a second look, for what came meanwhile.
  int erase(const std::vector<std::unique_ptr<Place>>& places) {
    std::vector<json::Object> rows;
    for (const auto& place : places) {
      const int64_t gone = erase(*place, erased_);
      erased_ += gone;
      json::Object row;
      rows.push_back(std::move(row.add("place", place->kind).add("name", place->name).add("erased", gone)));
      if (!json_ && gone > 0)
        print(place->kind + " " + place->name + ": " + counted(static_cast<size_t>(gone), "event") + " erased\n");
    }
    const std::vector<Found> left = look(places);
    const int64_t still = total(left, &Found::events) + total(left, &Found::waiting);
    const int64_t unseen = total(left, &Found::unseen);
    if (json_) {
      json::Object object;
      object.add("state", "done").add("erased", erased_).add("left", still).add("unseen", unseen);
      print(object.add("places", rows).text() + "\n");
    } else {
      print(counted(static_cast<size_t>(erased_), "event") + " erased; " + std::to_string(still) + " left" +
            (unseen > 0 ? ", " + std::to_string(unseen) + " messages not looked at" : "") + ".\n");
    }
    return still > 0 || unseen > 0 ? exit_problems : exit_ok;
  }

  std::vector<std::string> keys_;
  std::string key_file_, source_, dsn_;
  int64_t erased_ = 0;
  bool dry_run_ = false, yes_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_forget(Arguments& arguments) { return std::make_unique<Forget>(arguments); }

}  // namespace muskrat::cli

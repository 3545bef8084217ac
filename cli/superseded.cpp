// muskrat superseded: the events that an endpoint passed over because newer state was in place, as the host noted them.
#include "cli/context.hpp"
#include "cli/event_text.hpp"
#include "cli/exit.hpp"
#include "cli/state_place.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/json.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::cli {
namespace {

std::string version_text(const state::Version& version) {
  return std::to_string(version.epoch) + "/" + std::to_string(version.seq);
}

class SupersededVerb : public Command {
 public:
  explicit SupersededVerb(Arguments& arguments) {
    arguments.positional("ENDPOINT", endpoint_, "The endpoint's name in the configuration.");
    arguments.text("--key", "KEY", key_, "Only events of this ordering key.");
    arguments.flag("--json", json_, "One JSON object per event.");
    arguments.number("-n,--limit", "N", limit_, 1, state::Store::superseded_most, "Most to list (default 100).");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    find_component(config.endpoints, endpoint_, "endpoint");
    const auto store = state::find_store(config.consumer, Deadline::in(connect_time));
    std::vector<state::Superseded> events;
    if (store) events = store->superseded(endpoint_, state::Store::superseded_most, Deadline::in(answer_time));
    if (!key_.empty()) std::erase_if(events, [&](const state::Superseded& event) { return event.key != key_; });
    if (json_) {
      list_json(events);
    } else {
      list(events);
    }
    if (!events.empty()) return exit_ok;
    if (!json_) print("Looked in: " + state_place(config.consumer) + "\n");
    warn_of_relative_state(config.consumer);
    return exit_ok;
  }

 private:
  size_t shown(const std::vector<state::Superseded>& events) const {
    return std::min(events.size(), static_cast<size_t>(limit_));
  }

  void list_json(const std::vector<state::Superseded>& events) const {
    for (size_t i = 0; i < shown(events); ++i) {
      const state::Superseded& event = events[i];
      json::Object object;
      object.add("at", iso_time(event.at_us)).add("routing_key", event.routing_key).add("key", event.key);
      object.add("epoch", event.version.epoch).add("seq", event.version.seq).add("message_id", event.message_id);
      print(object.add("in_place", event.by).text() + "\n");
    }
  }

  void list(const std::vector<state::Superseded>& events) const {
    Table table({"PASSED OVER", "ROUTING KEY", "KEY", "EPOCH/SEQ", "IN PLACE", "MESSAGE ID"});
    for (size_t i = 0; i < shown(events); ++i) {
      const state::Superseded& event = events[i];
      table.add({iso_time(event.at_us), harmless(event.routing_key), harmless(event.key), version_text(event.version),
                 event.by.empty() ? "-" : harmless(event.by), harmless(event.message_id)});
    }
    const std::string of_key = key_.empty() ? "" : " of this key";
    if (events.empty())
      print("No event" + of_key + " is noted that the endpoint " + endpoint_ + " passed over for newer state.\n");
    else
      print("The endpoint " + endpoint_ + " passed over " + counted(events.size(), "event") + of_key +
            " for newer state; the newest first" +
            (events.size() == state::Store::superseded_most ? ", older ones are forgotten" : "") + ".\n" +
            table.text());
    if (shown(events) < events.size()) print("Shown: " + std::to_string(shown(events)) + "; --limit shows more.\n");
  }

  std::string endpoint_, key_;
  bool json_ = false;
  int64_t limit_ = 100;
};

}  // namespace

std::unique_ptr<Command> make_superseded(Arguments& arguments) { return std::make_unique<SupersededVerb>(arguments); }

}  // namespace muskrat::cli

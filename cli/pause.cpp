// muskrat pause, muskrat resume: an operator's word that an endpoint takes nothing for now, kept in the host's state
// database. A host sees it within about a second (consumer/pause_watch.hpp), or when it starts.
#include <algorithm>
#include <cstdlib>

#include <pwd.h>
#include <unistd.h>

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/state_place.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::cli {
namespace {

constexpr size_t why_most = 500;  // it stands on one line of the status page

// "ann@box": behind sudo the person, not root.
std::string who() {
  const char* name = std::getenv("SUDO_USER");
  const passwd* entry = ::getpwuid(::getuid());
  const std::string user = name != nullptr && *name != '\0' ? name
                           : entry != nullptr               ? entry->pw_name
                                                            : "uid " + std::to_string(::getuid());
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return harmless(user + "@" + host);
}

std::optional<state::Pause> pause_of(state::Store& store, const std::string& endpoint) {
  const auto pauses = store.pauses(Deadline::in(answer_time));
  const auto found =
      std::find_if(pauses.begin(), pauses.end(), [&](const auto& pause) { return pause.endpoint == endpoint; });
  return found == pauses.end() ? std::nullopt : std::optional(*found);
}

class PauseVerb : public Command {
 public:
  explicit PauseVerb(Arguments& arguments) {
    arguments.positional("ENDPOINT", endpoint_, "The endpoint's name in the configuration.");
    arguments.text("--why", "TEXT", why_, "The reason, for whoever finds it paused.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    find_component(config.endpoints, endpoint_, "endpoint");
    if (why_.size() > why_most)
      throw UsageError("--why is longer than " + std::to_string(why_most) + " bytes: give it in a sentence");
    const auto store = state::open_store(config.consumer, Deadline::in(connect_time));
    const state::Pause ours{endpoint_, wall_clock_us(), who(), harmless(why_)};
    store->pause(ours, Deadline::in(answer_time));
    const auto stored = pause_of(*store, endpoint_);
    const bool first = !stored || (stored->since_us == ours.since_us && stored->by == ours.by);
    if (first) {
      print("The endpoint " + endpoint_ + " is paused. A running host finishes what is under way and takes nothing " +
            "more;\nevents wait in the queue " + config.topology.queue(endpoint_) + " until `muskrat resume " +
            endpoint_ + "`.\n");
    } else {
      print("The endpoint " + endpoint_ + " was paused already, " + harmless(describe(*stored)) + ".\n");
    }
    print("Kept in: " + state_place(config.consumer) + "\n");
    warn_of_relative_state(config.consumer);
    return exit_ok;
  }

 private:
  std::string endpoint_, why_;
};

class ResumeVerb : public Command {
 public:
  explicit ResumeVerb(Arguments& arguments) {
    arguments.positional("ENDPOINT", endpoint_, "The endpoint's name in the configuration.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    find_component(config.endpoints, endpoint_, "endpoint");
    const auto store = state::find_store(config.consumer, Deadline::in(connect_time));
    const auto was = store ? pause_of(*store, endpoint_) : std::nullopt;
    if (was && store->resume(endpoint_, Deadline::in(answer_time))) {
      print("The endpoint " + endpoint_ + " goes on; it was paused " + harmless(describe(*was)) +
            ".\nA running host takes its events again by itself.\n");
      return exit_ok;
    }
    if (const auto rest = store ? asked_rest(*store) : std::nullopt) {
      store->clear_parked(endpoint_, Deadline::in(answer_time));
      print("The endpoint " + endpoint_ + " was not paused, but had asked itself for a rest, " +
            harmless(describe(*rest)) + ".\nThat is forgotten: a running host tries it again within a few seconds.\n");
      return exit_ok;
    }
    print("The endpoint " + endpoint_ + " is not paused: nothing was changed.\n");
    print("Looked in: " + state_place(config.consumer) + "\n");
    warn_of_relative_state(config.consumer);
    return exit_ok;
  }

 private:
  // What the endpoint said of itself (Retry-After, a result `park`), while its time has not come.
  std::optional<state::Parked> asked_rest(state::Store& store) const {
    for (state::Parked& note : store.parked(Deadline::in(answer_time)))
      if (note.endpoint == endpoint_ && note.reason == "asked" && note.until_us > wall_clock_us())
        return std::move(note);
    return std::nullopt;
  }

  std::string endpoint_;
};

}  // namespace

std::unique_ptr<Command> make_pause(Arguments& arguments) { return std::make_unique<PauseVerb>(arguments); }
std::unique_ptr<Command> make_resume(Arguments& arguments) { return std::make_unique<ResumeVerb>(arguments); }

}  // namespace muskrat::cli

// muskrat held drop: records of which no event can be made are given up for good.
//
// What was shown and nothing else: a run may hold further ones meanwhile, or have sent some of these.
#include <charconv>
#include <set>

#include "cli/agreement.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/held_source.hpp"
#include "cli/state_place.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"

namespace muskrat::cli {
namespace {

class HeldDrop : public Command {
 public:
  explicit HeldDrop(Arguments& arguments) {
    arguments.positional("SOURCE", source_, "The source's name in the configuration.");
    arguments.positionals("NUMBER", numbers_, "The records' numbers, as held list shows them.");
    arguments.flag("--all", all_, "All of them.");
    arguments.flag("-y,--yes", yes_, "Do not ask.");
  }

  int run(const Globals& globals) override {
    try {
      return drop(globals);
    } catch (const BrokenPipe&) {
      throw BrokenPipe{dropped_ == 0 ? "Nothing was dropped." : counted(dropped_, "record") + " dropped, for good."};
    }
  }

 private:
  int drop(const Globals& globals) {
    if (numbers_.empty() != all_)
      throw UsageError(all_ ? "--all and numbers contradict each other: give one of them"
                            : "which records? Give their numbers, as muskrat held list shows them, or --all");
    const std::set<int64_t> wanted = whole_numbers();
    const Config config = load(globals);
    const Component& source = find_component(config.sources, source_, "source");
    warn_of_relative_relay_state(config.relay);
    const auto state = held_state(config, source);
    std::vector<int64_t> meant;
    if (state)
      each_held(*state, [&](const HeldRecord& held) {
        if (all_ || wanted.contains(held.seq)) meant.push_back(held.seq);
      });
    if (meant.empty()) {
      print("The source " + source_ + " holds none of these; nothing was dropped.\n");
      return exit_problems;
    }
    print(counted(meant.size(), "record") + " of the source " + source_ + " will never be sent.\n");
    if (!yes_ && !agreed("They will be gone for good. Type the source's name to go on: ", source_)) {
      print("Nothing was dropped.\n");
      return exit_usage;
    }
    for (const int64_t seq : meant) dropped_ += static_cast<size_t>(state->held().remove(seq));
    const std::string text =
        counted(dropped_, "record") + " dropped; " + std::to_string(state->held().count()) + " left.\n";
    try {
      state->leave_no_trace();  // before it is said, for nobody may be there to read it
    } catch (const Failure&) {
      print(text);
      throw;
    }
    print(text);
    return all_ || meant.size() == wanted.size() ? exit_ok : exit_problems;
  }

  std::set<int64_t> whole_numbers() const {
    std::set<int64_t> wanted;
    for (const std::string& text : numbers_) {
      int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size())
        throw UsageError("\"" + harmless(text) + "\" is no number of a record; muskrat held list shows them");
      wanted.insert(number);
    }
    return wanted;
  }

  std::string source_;
  std::vector<std::string> numbers_;
  size_t dropped_ = 0;
  bool all_ = false, yes_ = false;
};

}  // namespace

std::unique_ptr<Command> make_held_drop(Arguments& arguments) { return std::make_unique<HeldDrop>(arguments); }

}  // namespace muskrat::cli

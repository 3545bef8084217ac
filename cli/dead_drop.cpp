// muskrat dead drop: deletes dead letters for good, after saying what they are.
//
// There is no way back: it never drops without a filter or --all, nor without a person's word or --yes.
#include <set>

#include "cli/agreement.hpp"
#include "cli/context.hpp"
#include "cli/dead_walk.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"

namespace muskrat::cli {
namespace {

class DeadDrop : public Command {
 public:
  explicit DeadDrop(Arguments& arguments) {
    arguments.positional("ENDPOINT", endpoint_, "The endpoint's name in the configuration.");
    filter_.declare(arguments);
    filter_.declare_limit(arguments);
    arguments.flag("--all", all_, "All of them.");
    arguments.flag("-y,--yes", yes_, "Do not ask.");
  }

  int run(const Globals& globals) override {
    try {
      return drop(globals);
    } catch (const BrokenPipe&) {
      throw BrokenPipe{dropped_ == 0 ? "Nothing was dropped."
                                     : counted(dropped_, "dead letter") + " dropped, for good."};
    }
  }

 private:
  int drop(const Globals& globals) {
    const Config config = load(globals);
    find_component(config.endpoints, endpoint_, "endpoint");
    filter_.prepare();
    if (filter_.empty() != all_)
      throw UsageError(all_ ? "--all and a filter contradict each other: give one of them"
                            : "which letters? Give --key, --reason, --class or another filter, or --all");
    const std::set<std::string> meant = look(config);
    if (meant.empty()) {
      print("No dead letter of the endpoint " + endpoint_ + " is meant; nothing was dropped.\n");
      return exit_problems;
    }
    if (!yes_ && !agreed()) {
      print("Nothing was dropped.\n");
      return exit_usage;
    }
    const size_t left = drop(config, meant);
    dropped_ = meant.size();
    print(counted(dropped_, "dead letter") + " of the endpoint " + endpoint_ + " dropped; " + std::to_string(left) +
          " left.\n");
    return exit_ok;
  }

  // What would go, by reason; everything goes back.
  std::set<std::string> look(const Config& config) const {
    ReasonCounts reasons;
    std::set<std::string> found;
    LetterWalk walk(config, endpoint_, "dead drop");
    walk.look(filter_, [&](const amqp::Delivery& letter, uint32_t) {
      if (found.insert(identity_of(letter)).second) reasons.add(Letter(letter));
      return true;
    });
    walk.close();
    print(reasons.text(most_reasons_));
    if (walk.looked_at() < walk.total() && filter_.limit() == 0)
      print("Only the first " + std::to_string(walk.looked_at()) + " of " + std::to_string(walk.total()) +
            " were looked at.\n");
    return found;
  }

  // What was shown and nothing else. Until a look finds none of it: an acknowledgement is answered by nobody, and one
  // that was on its way when the channel closed may have been lost. Returns how many letters are left.
  size_t drop(const Config& config, const std::set<std::string>& meant) const {
    for (int pass = 0; pass < most_passes_; ++pass) {
      LetterWalk walk(config, endpoint_, "dead drop");
      walk.each(filter_, [&](const amqp::Delivery& letter) { return meant.contains(identity_of(letter)); });
      walk.close();
      if (walk.taken_out() == 0) return walk.total();
    }
    throw Failure(Remedy::stop, "the broker keeps giving back what was dropped; look at its log, and run it again");
  }

  bool agreed() const {
    return cli::agreed("They will be gone for good. Type the endpoint's name to go on: ", endpoint_);
  }

  static constexpr int most_passes_ = 100;
  static constexpr size_t most_reasons_ = 50;
  std::string endpoint_;
  LetterFilter filter_;
  size_t dropped_ = 0;
  bool all_ = false, yes_ = false;
};

}  // namespace

std::unique_ptr<Command> make_dead_drop(Arguments& arguments) { return std::make_unique<DeadDrop>(arguments); }

}  // namespace muskrat::cli

// muskrat relay: runs every configured source until told to stop.
#include "relay/relay.hpp"

#include "cli/daemon.hpp"
#include "cli/verbs.hpp"

namespace muskrat::cli {
namespace {

class Relay : public Command {
 public:
  explicit Relay(Arguments& arguments) { arguments.text("--only", "NAME", only_, "Run this source alone."); }
  int run(const Globals& globals) override {
    return run_daemon({"relay", "source", &Config::sources, &Config::relay, run_relay}, globals, only_);
  }

 private:
  std::string only_;
};

}  // namespace

std::unique_ptr<Command> make_relay(Arguments& arguments) { return std::make_unique<Relay>(arguments); }

}  // namespace muskrat::cli

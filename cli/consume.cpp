// muskrat consume: runs every configured endpoint until told to stop.
#include "cli/daemon.hpp"
#include "cli/verbs.hpp"
#include "consumer/consumer.hpp"

namespace muskrat::cli {
namespace {

class Consume : public Command {
 public:
  explicit Consume(Arguments& arguments) { arguments.text("--only", "NAME", only_, "Run this endpoint alone."); }
  int run(const Globals& globals) override {
    return run_daemon({"consume", "endpoint", &Config::endpoints, &Config::consumer, run_consumer}, globals, only_);
  }

 private:
  std::string only_;
};

}  // namespace

std::unique_ptr<Command> make_consume(Arguments& arguments) { return std::make_unique<Consume>(arguments); }

}  // namespace muskrat::cli

// muskrat docs options: the reference of all options; docs/configuration.md is its output.
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"

namespace muskrat::cli {
namespace {

class DocsOptions : public Command {
 public:
  int run(const Globals&) override {
    print_while_read(describe_options(schema()));
    return exit_ok;
  }
};

}  // namespace

std::unique_ptr<Command> make_docs_options(Arguments&) { return std::make_unique<DocsOptions>(); }

}  // namespace muskrat::cli

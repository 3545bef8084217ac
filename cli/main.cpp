// muskrat: one program, many verbs. Turns what a verb throws into a message and an exit code.
#include <csignal>
#include <exception>

#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/failure.hpp"
#include "common/jq.hpp"
#include "common/jq_evaluator.hpp"

int main(int argc, char** argv) {
  using namespace muskrat;
  // A reader that went away is an error of write(), seen by cli::print; a lost peer is one of send().
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  if (jq::asked_to_evaluate(argc, argv)) return jq::serve_jq();
  const auto failed = [](const char* what, int code) {
    cli::complain(std::string("muskrat: ") + what + "\n");
    return code;
  };
  try {
    return cli::dispatch(cli::verbs(), argc, argv);
  } catch (const cli::BrokenPipe& cut) {
    if (cut.so_far.empty()) return cli::exit_cut_short;
    return failed(("cut short, for standard output was closed. " + cut.so_far).c_str(), cli::exit_cut_short);
  } catch (const cli::BadConfiguration&) {
    return cli::exit_usage;
  } catch (const cli::UsageError& error) {
    return failed(error.what(), cli::exit_usage);
  } catch (const std::exception& error) {
    return failed(error.what(), cli::exit_failure);
  }
}

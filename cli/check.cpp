// muskrat check: what is wrong with the configuration, and what it means where nothing is.
#include "cli/check_online.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/event.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/limits/call_gate.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::cli {
namespace {

std::string problem_line(const Problem& problem) {
  return coloured(problem.error ? Colour::red : Colour::yellow, describe(problem)) + "\n";
}

std::string sources_text(const Config& config) {
  Table table({"SOURCE", "KIND", "DEFINED IN"});
  for (const Component& source : config.sources) {
    table.add({source.name, source.kind, source.where.file + ":" + std::to_string(source.where.line)});
  }
  return table.empty() ? "no sources: a relay has nothing to do with this file\n" : table.text();
}

std::string limits_text(const Config& config) {
  std::string out;
  for (const Component& endpoint : config.endpoints)
    if (const std::string limits = describe_limits(endpoint.settings); !limits.empty())
      out += "\nlimits of " + endpoint.name + ": " + limits;
  return out.empty() ? "" : out + "\n";
}

std::string endpoints_text(const Config& config) {
  Table table({"ENDPOINT", "KIND", "QUEUE", "SUBSCRIPTION", "AMQP BINDING"});
  for (const Component& endpoint : config.endpoints) {
    std::string name = endpoint.name, kind = endpoint.kind, queue = config.topology.queue(endpoint.name);
    for (const std::string& pattern : endpoint.settings.texts("subscribe")) {
      table.add({name, kind, queue, pattern, *binding_of_pattern(pattern)});
      name = kind = queue = "";
    }
  }
  if (table.empty()) return "no endpoints: a consumer has nothing to do with this file\n";
  if (!needs_state(config.endpoints)) return table.text() + limits_text(config);
  return table.text() + limits_text(config) + "\nthe host keeps state in the " + state::describe(config.consumer) +
         "\n";
}

class Check : public Command {
 public:
  explicit Check(Arguments& arguments) {
    arguments.flag("--online", online_,
                   "Also ask the servers: broker login, exchanges and queues, each source's database and extension, "
                   "each endpoint (and what its server says of the mapped fields). Changes nothing, but that an "
                   "endpoint makes tables of its own where they are missing.");
  }

  int run(const Globals& globals) override {
    const Loaded loaded = [&] {
      try {
        return load_config(config_path(globals), schema());
      } catch (const Failure& failure) {
        throw UsageError(failure.what());
      }
    }();
    const int code = say_problems(loaded);
    if (code != exit_ok) return code;
    const Config& config = loaded.config;
    print("\nbroker " + config.broker.place() + " as " + config.broker.user + ", exchange " +
          config.topology.exchange() + "\n\n" + sources_text(config) + "\n" + endpoints_text(config));
    return online_ ? check_online(config) : exit_ok;
  }

 private:
  static int say_problems(const Loaded& loaded) {
    size_t errors = 0, warnings = 0;
    for (const Problem& problem : loaded.problems) {
      print(problem_line(problem));
      ++(problem.error ? errors : warnings);
    }
    if (errors > 0) {
      print(counted(errors, "error") + ", " + counted(warnings, "warning") + "\n");
      return exit_usage;
    }
    print(coloured(Colour::green, loaded.config.file + " is right") +
          (warnings > 0 ? ", with " + counted(warnings, "warning") : "") + "\n");
    return exit_ok;
  }

  bool online_ = false;
};

}  // namespace

std::unique_ptr<Command> make_check(Arguments& arguments) { return std::make_unique<Check>(arguments); }

}  // namespace muskrat::cli

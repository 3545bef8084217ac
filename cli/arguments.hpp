// The command line: verbs, their options, and help worth reading. CLI11 is included in arguments.cpp alone.
//
// Used by main.cpp, which hands over the list of verbs, and by each verb, which
// declares what it takes through Arguments and reads it from its own members
// once run() is called. Help is written here and not by CLI11, whose wording
// changes from one version to the next.
// Thread rule: the main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace muskrat::cli {

// What every verb takes.
struct Globals {
  std::string config;  // --config; empty = look in the usual places
};

class Arguments {
 public:
  Arguments(CLI::App& app, Globals& globals);

  // `names` like "--limit" or "-n,--count" (or "NAME" for what stands without dashes); `value` names it in the help.
  void flag(const std::string& names, bool& into, const std::string& help);
  void text(const std::string& names, const std::string& value, std::string& into, const std::string& help);
  void texts(const std::string& names, const std::string& value, std::vector<std::string>& into,
             const std::string& help);
  void number(const std::string& names, const std::string& value, int64_t& into, int64_t low, int64_t high,
              const std::string& help);
  void positional(const std::string& name, std::string& into, const std::string& help);
  void optional_positional(const std::string& name, std::string& into, const std::string& help);
  void positionals(const std::string& name, std::vector<std::string>& into, const std::string& help);

  struct Line {
    std::string left, help;
    bool positional;
  };
  const std::vector<Line>& lines() const { return lines_; }

 private:
  CLI::App& app_;
  std::vector<Line> lines_;
};

class Command {
 public:
  virtual ~Command() = default;
  virtual int run(const Globals& globals) = 0;  // the exit code
};

struct Verb {
  std::string_view group;     // heading in the overview
  std::string_view name;      // "relay", or "dead list"
  std::string_view help;      // one line
  std::string_view more;      // what a person needs to know before the first use
  std::string_view examples;  // one a line
  std::unique_ptr<Command> (*make)(Arguments& arguments);
};

// Parses, then runs the verb or prints help; returns the exit code.
int dispatch(std::span<const Verb> verbs, int argc, char** argv);

}  // namespace muskrat::cli

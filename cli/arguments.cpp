#include "cli/arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "common/suggest.hpp"

namespace muskrat::cli {
namespace {

constexpr size_t help_column = 28;
constexpr size_t line_width = 100;

constexpr std::string_view overview =
    "Muskrat keeps customer data in step: sources say what happened, RabbitMQ routes it, endpoints take what they\n"
    "subscribe to.\n";

constexpr std::string_view footer =
    "\nThe configuration is --config FILE, else $MUSKRAT_CONFIG, else ./muskrat.yaml, else /etc/muskrat/muskrat.yaml.\n"
    "\n"
    "Exit codes: 0 all is well, 1 it failed while running, 2 wrong usage or configuration, 3 problems were found,\n"
    "141 standard output was closed before the end.\n"
    "`muskrat VERB --help` says more about each.\n";

// "  left            help", the help wrapped under itself.
std::string entry(const std::string& left, std::string_view help) {
  std::string out = "  " + left;
  size_t column = columns_of(out);
  if (column + 2 > help_column) {
    out += "\n";
    column = 0;
  }
  out.append(help_column - column, ' ');
  column = help_column;
  for (size_t start = 0; start < help.size();) {
    const size_t end = std::min(help.find(' ', start), help.size());
    const size_t length = end - start;
    if (column > help_column && column + 1 + length > line_width) {
      out += "\n" + std::string(help_column, ' ');
      column = help_column;
    } else if (column > help_column) {
      out += ' ';
      ++column;
    }
    out += help.substr(start, length);
    column += columns_of(help.substr(start, length));
    start = end + 1;
  }
  return out + "\n";
}

std::string overview_text(std::span<const Verb> verbs) {
  std::string out(overview);
  out += "\nUsage: muskrat VERB [options]\n";
  std::string_view group;
  for (const Verb& verb : verbs) {
    if (verb.group != group) out += "\n" + std::string(verb.group) + ":\n";
    group = verb.group;
    out += entry(std::string(verb.name), verb.help);
  }
  out += "\nOptions:\n";
  out += entry("-c, --config FILE", "The configuration to use.");
  out += entry("-h, --help", "Print this and exit.");
  out += entry("--version", "Print the version and exit.");
  return out + std::string(footer);
}

std::string verb_text(const Verb& verb, const std::vector<Arguments::Line>& lines) {
  std::string usage = "Usage: muskrat " + std::string(verb.name), positionals, options;
  for (const Arguments::Line& line : lines) {
    if (line.positional) usage += " " + line.left;
    (line.positional ? positionals : options) += entry(line.left, line.help);
  }
  std::string out = std::string(verb.help) + "\n\n" + usage + " [options]\n";
  if (!verb.more.empty()) out += "\n" + std::string(verb.more) + "\n";
  if (!positionals.empty()) out += "\nArguments:\n" + positionals;
  out += "\nOptions:\n" + options + entry("-h, --help", "Print this and exit.");
  if (!verb.examples.empty()) out += "\nExamples:\n" + std::string(verb.examples) + "\n";
  return out;
}

// A verb with its place in CLI11.
struct Entry {
  const Verb* verb;
  CLI::App* app;
  std::unique_ptr<Arguments> arguments;
  std::unique_ptr<Command> command;
  bool help = false;
};

CLI::App* subcommand(CLI::App& root, std::string_view name, Globals& globals) {
  CLI::App* app = &root;
  for (size_t start = 0; start < name.size();) {
    const size_t end = std::min(name.find(' ', start), name.size());
    const std::string word(name.substr(start, end - start));
    const auto known = app->get_subcommands([&](CLI::App* sub) { return sub->get_name() == word; });
    app = known.empty() ? app->add_subcommand(word) : known.front();
    app->set_help_flag();
    if (known.empty() && end < name.size())
      app->add_option("-c,--config", globals.config);  // `dead --config FILE list` too
    start = end + 1;
  }
  return app;
}

std::vector<Entry> declare(CLI::App& root, std::span<const Verb> verbs, Globals& globals) {
  std::vector<Entry> entries(verbs.size());
  for (size_t i = 0; i < verbs.size(); ++i) {
    Entry& entry = entries[i];
    entry.verb = &verbs[i];
    entry.app = subcommand(root, verbs[i].name, globals);
    entry.arguments = std::make_unique<Arguments>(*entry.app, globals);
    entry.command = verbs[i].make(*entry.arguments);
    entry.app->add_flag("-h,--help", entry.help);
  }
  return entries;
}

// The words before the first option: the verb as it was typed.
std::vector<std::string> typed_verb(int argc, char** argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc && words.size() < 2; ++i) {
    const std::string_view word = argv[i];
    if (word == "-c" || word == "--config") {
      ++i;
    } else if (!word.starts_with('-')) {
      words.emplace_back(word);
    } else if (!words.empty()) {
      break;
    }
  }
  return words;
}

// "" when the typed words name a verb.
std::string unknown_verb(std::span<const Verb> verbs, const std::vector<std::string>& typed) {
  std::vector<std::string_view> names, seconds;
  for (const Verb& verb : verbs) {
    const size_t space = verb.name.find(' ');
    const std::string_view first = verb.name.substr(0, space);
    if (std::find(names.begin(), names.end(), first) == names.end()) names.push_back(first);
    if (first == typed[0] && space != std::string_view::npos) seconds.push_back(verb.name.substr(space + 1));
  }
  const auto unknown = [](const std::string& what, const std::string& word,
                          const std::vector<std::string_view>& known) {
    return what + word + did_you_mean(word, known) + "; known are " + listed(known);
  };
  if (std::find(names.begin(), names.end(), typed[0]) == names.end()) return unknown("unknown verb ", typed[0], names);
  if (seconds.empty()) return {};
  if (typed.size() < 2) return "muskrat " + typed[0] + " needs one of " + listed(seconds);
  if (std::find(seconds.begin(), seconds.end(), typed[1]) != seconds.end()) return {};
  return unknown("unknown verb " + typed[0] + " ", typed[1], seconds);
}

// CLI11's message, with a suggestion where an option was mistyped.
std::string parse_problem(const CLI::ParseError& error, const CLI::App& app) {
  std::string text = error.what();
  const size_t dashes = text.find("--");
  if (dashes == std::string::npos || error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError))
    return text;
  const std::string typed = text.substr(dashes, text.find_first_of(" =", dashes) - dashes);
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  return text + did_you_mean(typed, views);
}

bool asks_for_help(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "help") return true;
  return std::any_of(argv + 1, argv + argc, [](std::string_view word) { return word == "-h" || word == "--help"; });
}

}  // namespace

Arguments::Arguments(CLI::App& app, Globals& globals) : app_(app) {
  text("-c,--config", "FILE", globals.config, "The configuration to use.");
}

void Arguments::flag(const std::string& names, bool& into, const std::string& help) {
  app_.add_flag(names, into);
  std::string left = names;
  if (const size_t comma = left.find(','); comma != std::string::npos) left.insert(comma + 1, " ");
  lines_.push_back({left, help, false});
}

void Arguments::text(const std::string& names, const std::string& value, std::string& into, const std::string& help) {
  app_.add_option(names, into);
  std::string left = names;
  if (const size_t comma = left.find(','); comma != std::string::npos) left.insert(comma + 1, " ");
  lines_.push_back({left + " " + value, help, false});
}

void Arguments::texts(const std::string& names, const std::string& value, std::vector<std::string>& into,
                      const std::string& help) {
  app_.add_option(names, into)->expected(1)->take_all();
  lines_.push_back({names + " " + value, help + " May be given several times.", false});
}

void Arguments::number(const std::string& names, const std::string& value, int64_t& into, int64_t low, int64_t high,
                       const std::string& help) {
  app_.add_option(names, into)->check(CLI::Range(low, high));
  std::string left = names;
  if (const size_t comma = left.find(','); comma != std::string::npos) left.insert(comma + 1, " ");
  lines_.push_back({left + " " + value, help, false});
}

void Arguments::positional(const std::string& name, std::string& into, const std::string& help) {
  app_.add_option(name, into)->required();
  lines_.push_back({name, help, true});
}

void Arguments::optional_positional(const std::string& name, std::string& into, const std::string& help) {
  app_.add_option(name, into);
  lines_.push_back({"[" + name + "]", help, true});
}

void Arguments::positionals(const std::string& name, std::vector<std::string>& into, const std::string& help) {
  app_.add_option(name, into);
  lines_.push_back({"[" + name + "…]", help, true});
}

int dispatch(std::span<const Verb> verbs, int argc, char** argv) {
  Globals globals;
  CLI::App root;
  root.set_help_flag();
  bool version = false, help = false;
  root.add_option("-c,--config", globals.config);
  root.add_flag("--version", version);
  root.add_flag("-h,--help", help);
  const std::vector<Entry> entries = declare(root, verbs, globals);

  const std::vector<std::string> typed = typed_verb(argc, argv);
  if ((typed.empty() || typed[0] == "help") && (argc == 1 || asks_for_help(argc, argv))) {
    print_while_read(overview_text(verbs));
    return argc == 1 ? exit_usage : exit_ok;
  }
  if (!typed.empty()) {
    if (const std::string wrong = unknown_verb(verbs, typed); !wrong.empty()) throw UsageError(wrong);
  }
  const Entry* chosen = nullptr;
  for (const Entry& entry : entries) {
    const std::string name = typed.empty() ? "" : typed[0] + (typed.size() > 1 ? " " + typed[1] : "");
    if (entry.verb->name == name || (!typed.empty() && entry.verb->name == typed[0])) chosen = &entry;
  }
  // Before parsing, so that help needs no complete command line.
  if (chosen && asks_for_help(argc, argv)) {
    print_while_read(verb_text(*chosen->verb, chosen->arguments->lines()));
    return exit_ok;
  }
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const std::string verb = chosen ? " " + std::string(chosen->verb->name) : "";
    throw UsageError(parse_problem(error, chosen ? *chosen->app : root) + "; see muskrat" + verb + " --help");
  }
  if (version) {
    print_while_read("muskrat " MUSKRAT_VERSION "\n");
    return exit_ok;
  }
  if (!chosen) throw UsageError("no verb; see muskrat --help");
  return chosen->command->run(globals);
}

}  // namespace muskrat::cli

// muskrat test: runs the cases that stand beside the mappings.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "consumer/mapping_cases.hpp"

namespace muskrat::cli {
namespace {

std::vector<MappingCase> cases_in(const std::string& path, std::vector<Problem>& problems) {
  std::ifstream file(path, std::ios::binary);
  std::error_code ignored;
  if (!file || std::filesystem::is_directory(path, ignored)) throw UsageError("cannot read the cases in " + path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const Settings settings = parse_settings(mapping_case_options(), text, path, problems);
  if (!problems.empty()) return {};
  auto cases = read_mapping_cases(settings.records("tests"), problems);
  for (const MappingCase& one : cases)
    if (one.endpoint.empty()) problems.push_back({one.where, "tests: the case \"" + one.name + "\" names no endpoint"});
  return cases;
}

class Test : public Command {
 public:
  explicit Test(Arguments& arguments) {
    arguments.text("--only", "NAME", only_, "Run the cases of this endpoint alone.");
    arguments.text("--match", "TEXT", match_, "Run the cases whose name holds this text alone.");
    arguments.flag("-q,--quiet", quiet_, "Print what failed, and the sum.");
    arguments.positionals("FILE", files_, "Files with further cases (tests: […]), each of which names its endpoint.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    if (!only_.empty()) find_component(config.endpoints, only_, "endpoint");
    const std::vector<MappingCase> cases = all_cases(config);
    size_t passed = 0, failed = 0;
    for (const MappingCase& one : cases) {
      if (!chosen(one)) continue;
      const auto faults = faults_of(find_component(config.endpoints, one.endpoint, "endpoint"), one);
      ++(faults.empty() ? passed : failed);
      report(one, faults);
    }
    if (passed + failed == 0) {
      complain(cases.empty()
                   ? "There are no cases: write some under `tests:` of an endpoint.\n"
                   : "None of the " + std::to_string(cases.size()) + " cases is chosen by --only and --match.\n");
      return exit_problems;
    }
    print((failed > 0 ? "\n" : "") + std::to_string(passed) + " passed, " + std::to_string(failed) + " failed\n");
    return failed > 0 ? exit_problems : exit_ok;
  }

 private:
  bool chosen(const MappingCase& one) const {
    return (only_.empty() || one.endpoint == only_) && one.name.find(match_) != std::string::npos;
  }

  std::vector<MappingCase> all_cases(const Config& config) const {
    std::vector<Problem> problems;
    std::vector<MappingCase> cases;
    for (const Component& endpoint : config.endpoints) {
      for (MappingCase& one : read_mapping_cases(endpoint.settings.records("tests"), problems)) {
        one.endpoint = endpoint.name;
        cases.push_back(std::move(one));
      }
    }
    for (const std::string& path : files_) {
      std::vector<Problem> found;
      auto more = cases_in(path, found);
      cases.insert(cases.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
      problems.insert(problems.end(), found.begin(), found.end());
    }
    for (const Problem& problem : problems) complain(describe(problem) + "\n");
    if (!problems.empty()) throw BadConfiguration{};
    for (const MappingCase& one : cases) find_component(config.endpoints, one.endpoint, "endpoint");
    return cases;
  }

  void report(const MappingCase& one, const std::vector<std::string>& faults) const {
    if (faults.empty() && quiet_) return;
    const std::string name = one.endpoint + ": " + harmless(one.name);
    if (faults.empty()) return print(coloured(Colour::green, "ok") + "      " + name + "\n");
    std::string text = coloured(Colour::red, "FAILED") + "  " + name + "  (" + one.where.file + ":" +
                       std::to_string(one.where.line) + ")\n";
    for (const std::string& fault : faults) text += "          " + harmless(fault) + "\n";
    print(text);
  }

  std::string only_, match_;
  bool quiet_ = false;
  std::vector<std::string> files_;
};

}  // namespace

std::unique_ptr<Command> make_test(Arguments& arguments) { return std::make_unique<Test>(arguments); }

}  // namespace muskrat::cli

#include "cli/verify_report.hpp"

#include <fmt/format.h>

#include "cli/progress.hpp"
#include "cli/terminal.hpp"
#include "common/json.hpp"

namespace muskrat::cli {
namespace {

const char* word_of(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::missing:
      return "missing";
    case Finding::Kind::different:
      return "different";
    case Finding::Kind::extra:
      return "extra";
    case Finding::Kind::refused:
      break;
  }
  return "refused";
}

std::string value_text(const std::optional<std::string>& value) {
  return value ? json::quote(harmless(*value)) : "null";
}

}  // namespace

void VerifyReport::found(const Finding& finding) {
  int64_t* const counts[] = {&sums_.missing, &sums_.different, &sums_.extra, &sums_.refused};
  ++*counts[static_cast<size_t>(finding.kind)];
  tell(word_of(finding.kind), finding, finding.why);
}

void VerifyReport::undecided(const Finding& finding, const std::string& waits_for) {
  ++sums_.undecided;
  tell("undecided", finding, std::string(word_of(finding.kind)) + " so far; " + waits_for);
}

void VerifyReport::repaired(const Finding& finding) {
  ++sums_.repaired;
  if (options_.json) tell("repaired", finding, "");
}

void VerifyReport::not_repaired(const Finding& finding, const std::string& why) { tell("not repaired", finding, why); }

void VerifyReport::tell(const char* what, const Finding& finding, const std::string& why) {
  if (listed_++ >= options_.most) return;
  print(options_.json ? object(what, finding, why) : line(what, finding, why));
}

std::string VerifyReport::line(const char* what, const Finding& finding, const std::string& why) const {
  std::string text = fmt::format("{:<12} {} {}", what, harmless(finding.table), harmless(finding.key));
  for (size_t i = 0; i < finding.columns.size(); ++i) {
    text += (i == 0 ? "  " : ", ") + harmless(finding.columns[i]);
    if (i < finding.values.size())
      text +=
          " (" + value_text(finding.values[i].first) + " expected, " + value_text(finding.values[i].second) + " found)";
  }
  return text + (why.empty() ? "" : "  " + harmless(why)) + "\n";
}

std::string VerifyReport::object(const char* what, const Finding& finding, const std::string& why) const {
  json::Object object;
  object.add("row", what).add("table", finding.table).add("key", finding.key);
  if (!finding.columns.empty()) object.add("columns", finding.columns);
  if (!why.empty()) object.add("why", why);
  json::Object expected, found;
  const auto add = [](json::Object& to, const std::string& name, const std::optional<std::string>& value) {
    value ? to.add(name, *value) : to.add_null(name);
  };
  for (size_t i = 0; i < finding.values.size(); ++i) {
    add(expected, finding.columns[i], finding.values[i].first);
    add(found, finding.columns[i], finding.values[i].second);
  }
  if (!finding.values.empty()) object.add("expected", expected).add("found", found);
  return object.text() + "\n";
}

void VerifyReport::end(const std::string& table, const std::string& endpoint, bool whole, milliseconds took) {
  if (options_.json) {
    json::Object object;
    object.add("table", table)
        .add("endpoint", endpoint)
        .add("whole", whole)
        .add("rows", sums_.rows)
        .add("by_digest", sums_.by_digest);
    object.add("missing", sums_.missing).add("different", sums_.different).add("extra", sums_.extra);
    object.add("refused", sums_.refused).add("undecided", sums_.undecided).add("repaired", sums_.repaired);
    return print(object.add("ms", took.count()).text() + "\n");
  }
  if (listed_ > options_.most) print(fmt::format("… and {} more lines (--list)\n", listed_ - options_.most));
  std::string text =
      fmt::format("{} rows of {} compared with {} in {}: ", sums_.rows, harmless(table), endpoint, span_text(took));
  const std::pair<int64_t, const char*> parts[] = {{sums_.missing, "missing"},
                                                   {sums_.different, "different"},
                                                   {sums_.extra, "extra"},
                                                   {sums_.refused, "refused"},
                                                   {sums_.undecided, "undecided"}};
  std::string what;
  for (const auto& [count, word] : parts)
    if (count > 0) what += (what.empty() ? "" : ", ") + std::to_string(count) + " " + word;
  text += what.empty() ? "equal" : what;
  if (sums_.repaired > 0) text += fmt::format("; {} repaired", sums_.repaired);
  print(text + (whole ? ".\n" : ". Stopped before the end.\n"));
}

}  // namespace muskrat::cli

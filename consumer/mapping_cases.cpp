#include "consumer/mapping_cases.hpp"

#include <algorithm>
#include <array>

#include "common/event_json.hpp"
#include "common/json_compare.hpp"
#include "consumer/subscription.hpp"

namespace muskrat {
namespace {

using Fate = Explanation::Fate;

constexpr std::array case_table{
    Option{"name", OptionType::text, "", "", "What the case shows, for the report.", true},
    Option{"endpoint", OptionType::text, "", "", "In a file of cases: the endpoint that the case is about."},
    Option{"event", OptionType::json, "", "",
           "The event, as `muskrat tail --json` prints it: routing_key and body at least.", true},
    Option{"expect", OptionType::json, "", "",
           "What the endpoint must send: the document, or the list of rows (one row alone is a list of one)."},
    Option{"expect_dead", OptionType::text, "", "",
           "The event must become a dead letter, and the reason holds this text."},
    Option{"expect_skip", OptionType::boolean, "", "", "The event must be skipped."},
};

constexpr std::array tests_table{
    Option{"tests", OptionType::records, "", "", "Cases for `muskrat test`: events, and what must become of them.",
           false, case_table},
};

Explanation expectation_of(const Settings& record, std::vector<Problem>& problems) {
  const bool skips = record.given("expect_skip") && record.boolean("expect_skip");
  const int said = int{record.given("expect")} + int{record.given("expect_dead")} + int{skips};
  if (said != 1)
    problems.push_back({record.where("name"), "tests: the case \"" + record.text("name") +
                                                  "\" needs one of expect, expect_dead and expect_skip: true"});
  if (skips) return {Fate::skips, ""};
  if (record.given("expect_dead")) return {Fate::dead, record.text("expect_dead")};
  return {Fate::sends, record.scalar("expect")};
}

std::string said(const Explanation& what) {
  if (what.fate == Fate::sends) return "it sends " + what.text;
  return (what.fate == Fate::skips ? "it is skipped " : "it is a dead letter: ") + what.text;
}

std::vector<std::string> documents_differ(const std::string& expected, const std::string& got) {
  std::string why;
  const auto wanted = json::Document::parse(expected, why), is = json::Document::parse(got, why);
  if (!wanted || !is) return {"not JSON: " + why};
  const bool one_row =
      wanted->root().type() == json::Type::object && is->root().type() == json::Type::array && is->root().size() == 1;
  return json::differences(wanted->root(), one_row ? is->root().at(0) : is->root());
}

}  // namespace

OptionTable mapping_case_options() { return tests_table; }

std::vector<MappingCase> read_mapping_cases(const std::vector<Settings>& records, std::vector<Problem>& problems) {
  std::vector<MappingCase> cases;
  for (const Settings& record : records) {
    MappingCase one;
    one.name = record.text("name");
    one.endpoint = record.text("endpoint");
    one.where = record.where("name");
    one.expected = expectation_of(record, problems);
    std::string why;
    const auto document = json::Document::parse(record.scalar("event"), why);
    auto event = document ? event_from_json(document->root(), why) : std::nullopt;
    if (!event) problems.push_back({record.where("event"), "tests: the case \"" + one.name + "\": event: " + why});
    if (event) one.event = std::move(*event);
    cases.push_back(std::move(one));
  }
  return cases;
}

Judged explain_event(const Component& component, const Event& event) {
  if (!Subscription(component.settings.texts("subscribe")).takes(event)) return {false, {}};
  if (event.op == Op::truncate && component.settings.text("on_truncate") == "dead")
    return {true, {Fate::dead, "TRUNCATE at the source (on_truncate: dead)"}};
  const auto kinds = endpoint_kinds();
  const auto kind =
      std::find_if(kinds.begin(), kinds.end(), [&](const auto& one) { return one.name == component.kind; });
  return {true, kind->explain(component, event)};
}

std::vector<std::string> faults_of(const Component& component, const MappingCase& one) {
  const Judged judged = explain_event(component, one.event);
  if (!judged.subscribed) return {"the endpoint does not subscribe to " + one.event.routing_key};
  const Explanation &got = judged.what, &expected = one.expected;
  if (got.fate != expected.fate) {
    const std::string wanted = expected.fate == Fate::sends  ? "that it is sent"
                               : expected.fate == Fate::dead ? "a dead letter"
                                                             : "that it is skipped";
    return {"expected " + wanted + ", but " + said(got)};
  }
  if (got.fate == Fate::sends) return documents_differ(expected.text, got.text);
  if (got.fate == Fate::dead && got.text.find(expected.text) == std::string::npos)
    return {"expected a reason with \"" + expected.text + "\", got \"" + got.text + "\""};
  return {};
}

}  // namespace muskrat

// A mapping compared with the fields that a server says there are.
#include "consumer/described.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

using Type = DescribedField::Type;

const std::vector<DescribedField>& there() {
  static const std::vector<DescribedField> fields{{"email", Type::text, "email", 20, true},
                                                  {"score", Type::whole, "integer", 0, true},
                                                  {"rate", Type::number, "float", 0, true},
                                                  {"vip", Type::boolean, "boolean", 0, true},
                                                  {"born", Type::date, "date", 0, true},
                                                  {"seen", Type::timestamp, "datetime", 0, true},
                                                  {"createdAt", Type::timestamp, "datetime", 0, false},
                                                  {"odd", Type::any, "geo", 0, true}};
  return fields;
}

// "line: text" of each problem of these rules, a rule a line.
std::vector<std::string> problems_of(const std::vector<std::string>& rules,
                                     const std::vector<DescribedField>& fields = there()) {
  const Folder folder;
  std::string options = "    url: http://127.0.0.1:1\n    fields:\n";
  for (const std::string& rule : rules) options += "      - " + rule + "\n";
  const Loaded loaded = load_endpoint(folder, "http", options);
  for (const Problem& problem : loaded.problems)
    if (problem.error) fail_msg("%s", problem.text.c_str());
  const Settings& settings = loaded.config.endpoints.front().settings;
  std::vector<Problem> problems;
  compare_mapping(settings, fields, "its records", problems);
  std::vector<std::string> told;
  told.reserve(problems.size());
  const int first = settings.records("fields").front().where("to").line;
  for (const Problem& problem : problems)
    told.push_back(std::to_string(problem.where.line - first) + ": " + (problem.error ? "" : "warning: ") +
                   problem.text);
  return told;
}

void test_described_mapping_that_fits_is_no_problem(void**) {
  assert_int_equal(problems_of({"{to: email, from: mail, default: \"ä@example.com\", when: {op: insert}}", "email",
                                "{to: score, from: x, lookup: {a: 1, b: \"-2\"}, default: null, when: {op: update}}",
                                "{to: score, as: integer}", "{to: rate, as: number}", "{to: vip, value: true}",
                                "{to: born, as: date}", "{to: seen, as: timestamp}", "{to: odd, value: {a: 1}}"})
                       .size(),
                   0);
}

void test_described_each_misfit_is_told_with_its_line(void**) {
  const auto told = problems_of({"emial", "{to: createdAt, as: timestamp}", "{to: score, as: boolean}",
                                 "{to: vip, as: timestamp}", "{to: seen, as: number}", "{to: born, as: timestamp}",
                                 "{to: rate, value: much}", "{to: email, value: a-long-address@example.com}"});
  const std::vector<std::string> expected{"0: field emial: its records have no such field (did you mean email?)",
                                          "1: field createdAt: it is read-only",
                                          "2: field score: boolean does not fit its type integer",
                                          "3: field vip: timestamp does not fit its type boolean",
                                          "4: field seen: number does not fit its type datetime",
                                          "5: field born: timestamp does not fit its type date",
                                          "6: field rate: value does not fit its type float",
                                          "7: field email: value is longer than its 20 characters"};
  assert_int_equal(told.size(), expected.size());
  for (size_t i = 0; i < told.size(); ++i) assert_text(told[i], expected[i]);
}

void test_described_field_that_new_records_need_and_nobody_makes_is_a_warning(void**) {
  std::vector<DescribedField> fields = there();
  for (DescribedField& field : fields) field.required = field.name == "vip" || field.name == "rate";
  const auto told = problems_of({"email", "{to: rate, from: x}"}, fields);
  assert_int_equal(told.size(), 1);
  assert_holds(told[0], "warning: field vip: its records cannot be made without it, and the mapping leaves it out");
}

void test_described_lookups_and_defaults_are_values_too(void**) {
  const auto told = problems_of({"{to: score, lookup: {a: 1, b: 1.5, c: true}}", "{to: vip, default: perhaps}"});
  assert_int_equal(told.size(), 3);
  assert_text(told[0], "0: field score: lookup does not fit its type integer");
  assert_text(told[2], "1: field vip: default does not fit its type boolean");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_described_mapping_that_fits_is_no_problem),
      checked(test_described_each_misfit_is_told_with_its_line),
      checked(test_described_field_that_new_records_need_and_nobody_makes_is_a_warning),
      checked(test_described_lookups_and_defaults_are_values_too),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

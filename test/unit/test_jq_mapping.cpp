// jq in a mapping: as a field's rule, as a condition, as the whole document.
//
// This program is its own evaluator: see main().
#include <csignal>

#include "common/config.hpp"
#include "common/document_mapping.hpp"
#include "common/jq_evaluator.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_text;

namespace {

using State = Mapped::State;

std::string problems_of(const std::string& yaml) {
  std::vector<Problem> problems;
  const Settings settings = parse_settings(mapping_options(), yaml, "t.yaml", problems);
  check_mapping(settings, problems);
  std::string out;
  for (const Problem& problem : problems) out += describe(problem) + "\n";
  return out;
}

Mapped mapped(const std::string& yaml, const std::string& body, const std::string& omitted = "") {
  assert_text(problems_of(yaml), "");
  std::vector<Problem> problems;
  const Settings settings = parse_settings(mapping_options(), yaml, "t.yaml", problems);
  Event event;
  event.routing_key = "Frontend.Customer.Signup";
  event.op = Op::insert;
  event.body = body;
  event.omitted = omitted;
  return Mapping(settings).apply(event);
}

std::string document(const std::string& yaml, const std::string& body, const std::string& omitted = "") {
  const Mapped result = mapped(yaml, body, omitted);
  if (result.state != State::document) fail_msg("%s", result.text.c_str());
  return result.text;
}

std::string failure(const std::string& yaml, const std::string& body, const std::string& omitted = "") {
  const Mapped result = mapped(yaml, body, omitted);
  if (result.state != State::failed) fail_msg("%s", result.text.c_str());
  return result.text;
}

void test_jq_field_computes_of_the_body_or_of_what_from_picks(void**) {
  assert_text(document("fields: [{to: n, jq: '.tags | length'}]", R"({ "tags" : [1, 2] })"), R"({"n":2})");
  assert_text(document("fields: [{to: t, from: [a, b], jq: ascii_downcase}]", R"({"a":null,"b":"X"})"), R"({"t":"x"})");
  assert_text(document("fields: [{to: t, from: $action, jq: ascii_downcase}]", "{}"), R"({"t":"signup"})");
  assert_text(document("fields: [{to: t, from: n, jq: '. * 2'}]", R"({"n":1.25})"), R"({"t":2.5})");
  // Numbers that jq does not hold are none of its business where it is not given them.
  assert_text(
      document("fields: [id, {to: t, from: b, jq: ascii_downcase}]", R"({"id":12345678901234567890.10,"b":"X"})"),
      R"({"id":12345678901234567890.10,"t":"x"})");
  assert_holds(failure("fields: [id, {to: t, jq: .b}]", R"({"id":12345678901234567890,"b":"X"})"),
               "field t cannot be computed: what jq reads holds a number of 2^53 or beyond");
}

void test_jq_field_goes_on_through_the_rest_of_its_rule(void**) {
  const std::string rule =
      "fields: [{to: p, jq: '.plan[0]', trim: true, lookup: {p1: '7'}, as: integer, default: none}]";
  assert_text(document(rule, R"({"plan":[" p1 "]})"), R"({"p":7})");
  assert_text(document(rule, R"({"plan":["p2"]})"), R"({"p":"none"})");
  assert_text(document("fields: [{to: p, jq: '.[]', default: 5}]", "[]"), R"({"p":5})");
  assert_text(document("fields: [{to: p, jq: '.a', default: 5}]", "{}"), R"({"p":5})");
  assert_text(document("fields: [{to: p, jq: '.[]'}, {to: q, value: 1}]", "{}"), R"({"q":1})");
  assert_text(document("fields: [{to: p, from: gone, jq: error}]", "{}"), "{}");
  assert_text(failure("fields: [{to: p, jq: 'empty', required: true}]", "{}"),
              "field p is required, but its jq makes nothing");
  assert_text(failure("fields: [{to: p, from: a, jq: 'tonumber'}]", R"({"a":[4711]})"),
              "field p cannot be computed: array (…) cannot be parsed as a number");
  assert_text(failure("fields: [{to: p, jq: '.a', as: integer}]", R"({"a":"x"})"), "field p is not a whole number");
}

void test_jq_of_a_body_that_is_not_whole_computes_nothing(void**) {
  const std::string cut = R"(["notes"])";
  assert_text(document("fields: [{to: p, jq: .a, default: 5}, {to: q, from: a, jq: '.'}]", R"({"a":1})", cut),
              R"({"q":1})");
  assert_holds(failure("fields: [{to: p, jq: .a, required: true}]", R"({"a":1})", cut),
               "capture left parts of the body out");
  assert_holds(failure("jq: .a", R"({"a":1})", cut), "capture left parts of that out");
  assert_holds(failure("when: {jq: .a == 1}", R"({"a":1})", cut), "capture left parts of that out");
  assert_text(document("when: {field: a, jq: . == 1}", R"({"a":1})", cut), R"({"a":1})");
}

void test_jq_condition_holds_when_it_makes_true_and_nothing_but_true_or_false_will_do(void**) {
  assert_true(mapped("when: {jq: '.n > 5'}", R"({"n":6})").state == State::document);
  assert_true(mapped("when: {jq: '.n > 5'}", R"({"n":5})").state == State::skipped);
  assert_true(mapped("when: {field: n, jq: '. > 5'}", R"({"n":6})").state == State::document);
  assert_true(mapped("when: {field: n, jq: '. == null'}", "{}").state == State::document);
  assert_true(mapped("when: {op: delete, jq: 'error(\"never asked\")'}", "{}").state == State::skipped);
  assert_true(mapped("when: [{jq: .n}, {op: delete}]", R"({"n":true})").state == State::skipped);
  assert_text(failure("when: {jq: .n}", "{}"), "when: its jq made neither true nor false");
  assert_text(failure("when: {jq: .n}", R"({"n":"true"})"), "when: its jq made neither true nor false");
  assert_text(failure("when: {jq: empty}", "{}"), "when: its jq made nothing, where true or false is due");
  assert_text(failure("when: {jq: '.n[0] == 1'}", R"({"n":"secret"})"), "when: Cannot index string with number");
  assert_text(document("fields: [{to: p, value: 1, when: {jq: .n == 1}}, {to: p, value: 2}]", R"({"n":2})"),
              R"({"p":2})");
}

void test_jq_document_is_what_it_makes_or_skipped(void**) {
  assert_text(document("jq: '{a: .b, c: [.d[] | . + 1]}'", R"({"b":"x","d":[1,2]})"), R"({"a":"x","c":[2,3]})");
  assert_text(mapped("jq: 'select(.b)'", R"({"b":false})").text, "its jq makes nothing of it");
  assert_true(mapped("jq: 'select(.b)'", R"({"b":false})").state == State::skipped);
  assert_holds(failure("jq: '.[]'", "[1,2]"), "the document cannot be computed: jq made more than one value");
  assert_text(mapped("{jq: error, when: {op: delete}}", "{}").text, "by the endpoint's `when`");
}

void test_jq_mistakes_are_told_at_load_with_their_lines(void**) {
  const std::string all = problems_of(
      "when:\n  jq: '.a |'\njq: env\nfields:\n  - {to: a, jq: foo}\n  - {to: b, jq: ., value: 1}\n  - {to: c, jq: ''}\n"
      "  - {to: d, field: x}\n");
  for (const char* part :
       {"t.yaml:2: error: when: jq: syntax error", "t.yaml:3: error: jq: env is refused: ",
        "t.yaml:3: error: jq: it makes the whole document, and fields does too",
        "t.yaml:5: error: field a: jq: foo/0 is not defined", "t.yaml:6: error: field b: give either value or jq",
        "t.yaml:7: error: field c: jq: it is empty"})
    assert_holds(all, part);
}

}  // namespace

int main(int argc, char** argv) {
  if (jq::asked_to_evaluate(argc, argv)) return jq::serve_jq();
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  const CMUnitTest tests[] = {
      checked(test_jq_field_computes_of_the_body_or_of_what_from_picks),
      checked(test_jq_field_goes_on_through_the_rest_of_its_rule),
      checked(test_jq_of_a_body_that_is_not_whole_computes_nothing),
      checked(test_jq_condition_holds_when_it_makes_true_and_nothing_but_true_or_false_will_do),
      checked(test_jq_document_is_what_it_makes_or_skipped),
      checked(test_jq_mistakes_are_told_at_load_with_their_lines),
  };
  return cmocka_run_group_tests_name("jq_mapping", tests, nullptr, nullptr);
}

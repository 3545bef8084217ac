// From an event to the document that an endpoint sends; and `when`, which decides whether there is one.
#include "common/config.hpp"
#include "common/document_mapping.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

std::string problems_of(const std::string& yaml) {
  std::vector<Problem> problems;
  const Settings settings = parse_settings(mapping_options(), yaml, "t.yaml", problems);
  check_mapping(settings, problems);
  std::string out;
  for (const Problem& problem : problems) out += describe(problem) + "\n";
  return out;
}

Event event(const std::string& body, Op op = Op::insert) {
  Event made;
  made.routing_key = "Frontend.Customer.Signup";
  made.op = op;
  made.body = body;
  return made;
}

Mapped mapped(const std::string& yaml, const Event& from) {
  std::vector<Problem> problems;
  const Settings settings = parse_settings(mapping_options(), yaml, "t.yaml", problems);
  if (!problems.empty()) fail_msg("%s", describe(problems.front()).c_str());
  return Mapping(settings).apply(from);
}

std::string document(const std::string& yaml, const std::string& body) {
  const Mapped result = mapped(yaml, event(body));
  assert_true(result.state == Mapped::State::document);
  return result.text;
}

bool skips(const std::string& when, const Event& from) {
  const Mapped result = mapped("when: " + when, from);
  assert_true(result.state != Mapped::State::failed);
  return result.state == Mapped::State::skipped;
}

void test_document_without_fields_is_the_body_byte_for_byte(void**) {
  assert_text(document("{}", "{ \"id\": 12345678901234567890.10 }"), "{ \"id\": 12345678901234567890.10 }");
}

void test_document_nests_by_dots_and_keeps_order_digits_and_nulls(void**) {
  const char* yaml =
      "fields: [{to: customer.id, from: id}, {to: customer.plan.name, from: plan}, email, {to: customer.at, from: x}]";
  assert_text(document(yaml, R"({"id":9007199254740993.10,"plan":"pro","email":null})"),
              R"({"customer":{"id":9007199254740993.10,"plan":{"name":"pro"}},"email":null})");
}

void test_document_object_of_which_nothing_is_there_is_absent(void**) {
  assert_text(document("fields: [id, {to: a.b.c, from: x}]", R"({"id":1})"), R"({"id":1})");
  assert_text(document("fields: [{to: a.b, from: x}]", R"({"id":1})"), "{}");
}

void test_document_names_are_quoted(void**) {
  assert_text(document(R"(fields: [{to: 'a"b', from: id}])", R"({"id":"x\n"})"), R"({"a\"b":"x\n"})");
}

void test_document_constants_may_be_structured(void**) {
  assert_text(document("fields: [{to: tags, value: [a, 1, {b: null}]}]", "{}"), R"({"tags":["a",1,{"b":null}]})");
}

void test_document_targets_that_contradict_each_other_are_told_at_load(void**) {
  for (const char* yaml :
       {"fields: [{to: a, from: x}, {to: a.b, from: y}]", "fields: [{to: a.b, from: x}, {to: a, from: y}]"})
    assert_holds(problems_of(yaml), "it cannot be both a value and an object");
  assert_holds(problems_of("fields: [{to: a..b, from: x}]"), "field a..b: the target has an empty step");
  assert_holds(problems_of("fields: []"), "the table is empty");
  assert_text(problems_of("fields: [{to: a.b, from: x}, {to: a.c, from: y}, {to: d, from: z}]"), "");
}

void test_document_of_what_is_no_json_fails_without_showing_it(void**) {
  const Mapped result = mapped("{}", event("secret"));
  assert_true(result.state == Mapped::State::failed);
  assert_holds(result.text, "the body is not JSON");
  assert_lacks(result.text, "secret");
}

void test_when_compares_texts_of_op_action_and_fields(void**) {
  const Event from = event(R"({"plan":"pro","n":5,"ok":true,"note":null})");
  for (const char* holds :
       {"{op: insert}", "{op: [delete, insert]}", "{action: Signup}", "{field: plan, is: [free, pro]}",
        "{field: n, is: 5}", "{field: ok, is: 'true'}", "{field: plan, is_not: free}", "{field: note, is_not: x}",
        "{field: plan, present: true}", "{field: note, present: false}", "{field: gone, present: false}",
        "{field: $source, is: Frontend}", "[{op: insert}, {field: plan, is: pro}]"})
    assert_false(skips(holds, from));
  for (const char* fails : {"{op: update}", "{action: Cancel}", "{field: plan, is: free}", "{field: note, is: 'null'}",
                            "{field: gone, is: ''}", "{field: plan, is_not: pro}", "{field: note, present: true}",
                            "{op: insert, action: Cancel}", "[{op: insert}, {field: plan, is: free}]"})
    assert_true(skips(fails, from));
}

void test_when_on_a_field_that_capture_left_out_is_neither_yes_nor_no(void**) {
  Event cut = event(R"({"id":1})");
  cut.omitted = R"(["notes"])";
  const Mapped result = mapped("when: {field: notes, present: false}", cut);
  assert_true(result.state == Mapped::State::failed);
  assert_holds(result.text, "looks at notes, which capture left out");
}

void test_when_that_says_nothing_or_nonsense_is_told_at_load(void**) {
  const std::pair<const char*, const char*> cases[] = {
      {"when: {}", "when: it says nothing"},
      {"when: {is: x}", "when: is, is_not and present need a field"},
      {"when: {field: x}", "of the field x nothing is asked"},
      {"when: {op: [insert, isnert]}", "isnert is no operation"},
      {"when: {field: $nonsense, is: x}", "$nonsense is no part of an event"},
      {"fields: [{to: a, value: 1, when: {op: x}}]", "t.yaml:1: error: field a: when: x is no operation"},
  };
  for (const auto& [yaml, says] : cases) assert_holds(problems_of(yaml), says);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_document_without_fields_is_the_body_byte_for_byte),
      checked(test_document_nests_by_dots_and_keeps_order_digits_and_nulls),
      checked(test_document_object_of_which_nothing_is_there_is_absent),
      checked(test_document_names_are_quoted),
      checked(test_document_constants_may_be_structured),
      checked(test_document_targets_that_contradict_each_other_are_told_at_load),
      checked(test_document_of_what_is_no_json_fails_without_showing_it),
      checked(test_when_compares_texts_of_op_action_and_fields),
      checked(test_when_on_a_field_that_capture_left_out_is_neither_yes_nor_no),
      checked(test_when_that_says_nothing_or_nonsense_is_told_at_load),
  };
  return cmocka_run_group_tests_name("document_mapping", tests, nullptr, nullptr);
}

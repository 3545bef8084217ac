// The field table: from an event's body to a target's record.
#include "common/config.hpp"
#include "common/mapping.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

constexpr Option fields_option[] = {{"fields", OptionType::records, "", "", "", true, {}, false}};

std::string problems_text(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) out += describe(problem) + "\n";
  return out;
}

// The table read from a YAML list.
FieldTable table_of(const std::string& yaml, std::vector<Problem>& problems) {
  Option option = fields_option[0];
  option.children = field_options();
  const Settings settings = parse_settings({&option, 1}, "fields: " + yaml, "t.yaml", problems);
  return FieldTable(settings.records("fields"), problems);
}

FieldTable good_table(const std::string& yaml) {
  std::vector<Problem> problems;
  FieldTable table = table_of(yaml, problems);
  if (!problems.empty()) fail_msg("%s", problems_text(problems).c_str());
  return table;
}

Event event() {
  Event made;
  made.routing_key = "Frontend.Customer.Signup";
  made.message_id = "0190-id";
  made.op = Op::insert;
  made.epoch = 7;
  made.seq = 42;
  made.captured_us = 1'764'000'000'123'456;
  made.body = R"({"id":12345678901234567890.10,"email":"  Test@Example.COM ","company":null,"ok":true,)"
              R"("subscription":{"volume":"200"},"items":[{"id":1}]})";
  return made;
}

std::optional<MappedRecord> applied(const FieldTable& table, const Event& from, std::string& why) {
  std::string fault;
  const auto body = json::Document::parse(from.body, fault);
  assert_text(fault, "");
  return table.apply(from, body->root(), why);
}

// One field of the event above under one rule.
FieldValue field(const std::string& rule, const Event& from = event()) {
  std::string why;
  const auto record = applied(good_table("[" + rule + "]"), from, why);
  assert_text(why, "");
  return record->fields.at(0);
}

std::string refused(const std::string& rule, const Event& from = event()) {
  std::string why;
  assert_false(applied(good_table("[" + rule + "]"), from, why).has_value());
  return why;
}

using State = FieldValue::State;

void test_shorthand_takes_the_member_of_that_name(void**) {
  const FieldValue id = field("id");
  assert_true(id.state == State::value && id.number && !id.json && !id.boolean);
  assert_text(id.text, "12345678901234567890.10");
}

void test_names_stand_in_the_order_of_the_table(void**) {
  const FieldTable table = good_table("[b, {to: a, from: id}, c]");
  assert_int_equal(table.names().size(), 3);
  assert_text(table.names()[0] + table.names()[1] + table.names()[2], "bac");
}

void test_fields_know_whether_they_copy_and_whether_the_event_matters(void**) {
  const FieldTable table = good_table(
      "[id, {to: volume, from: subscription.volume}, {to: plan, from: id, as: text}, {to: seq, from: $seq}, {to: "
      "origin, value: web}, {to: was, from: id, when: {op: insert}}, {to: body, from: $body}]");
  const char* const copies[] = {"id", "subscription.volume", "", "", "", "", ""};
  const bool of_event[] = {false, false, false, true, false, true, false};
  for (size_t i = 0; i < table.names().size(); ++i) {
    assert_text(table.plain_copy_of(i), copies[i]);
    assert_int_equal(table.hangs_on_the_event(i), of_event[i]);
  }
}

void test_paths_reach_into_objects_and_lists(void**) {
  assert_text(field("{to: v, from: subscription.volume}").text, "200");
  assert_text(field("{to: v, from: items.0.id}").text, "1");
  const FieldValue object = field("subscription");
  assert_true(object.json);
  assert_text(object.text, R"({"volume":"200"})");
  assert_true(field("ok").boolean);
}

void test_null_and_absent_are_told_apart(void**) {
  assert_true(field("company").state == State::null);
  assert_true(field("nothing").state == State::absent);
}

void test_default_stands_in_for_absent_and_null(void**) {
  assert_text(field("{to: company, default: none}").text, "none");
  assert_text(field("{to: x, default: 0}").text, "0");
  assert_true(field("{to: x, default: 0}").number);
  assert_false(field("{to: x, default: \"0\"}").number);
  assert_text(field("{to: id, default: 0}").text, "12345678901234567890.10");
}

void test_constant_keeps_its_kind(void**) {
  assert_text(field("{to: origin, value: web}").text, "web");
  assert_true(field("{to: n, value: 1.50}").number);
  assert_true(field("{to: n, value: null}").state == State::null);
  assert_true(field("{to: n, value: true}").boolean);
}

void test_lower_and_trim_touch_texts_only(void**) {
  assert_text(field("{to: email, lower: true, trim: true}").text, "test@example.com");
  assert_text(field("{to: email, trim: true}").text, "Test@Example.COM");
  assert_text(field("{to: $x, from: subscription, lower: true}").text, R"({"volume":"200"})");
}

void test_facts_of_the_event_are_fields(void**) {
  const std::pair<const char*, const char*> cases[] = {
      {"$routing_key", "Frontend.Customer.Signup"},
      {"$source", "Frontend"},
      {"$object", "Customer"},
      {"$action", "Signup"},
      {"$op", "insert"},
      {"$message_id", "0190-id"},
      {"$captured_at", "2025-11-24T16:00:00.123456Z"},
      {"$epoch", "7"},
      {"$seq", "42"},
  };
  for (const auto& [name, text] : cases) assert_text(field(std::string("{to: x, from: ") + name + "}").text, text);
  assert_true(field("{to: x, from: $seq}").number);
  Event bare = event();
  bare.captured_us = 0;
  assert_true(field("{to: x, from: $captured_at}", bare).state == State::absent);
  assert_true(field("{to: x, from: $body}").json);
}

void test_required_field_missing_names_field_and_rule_never_values(void**) {
  const std::string why = refused("{to: name, from: company, required: true}, email");
  assert_text(why, "field name is required, but it is null");
  assert_text(refused("{to: n, from: a.b, required: true}"), "field n is required, but the body has no a.b");
  assert_lacks(why, "Example");
}

void test_omitted_member_is_absent_and_gets_no_default(void**) {
  Event cut = event();
  cut.body = R"({"id":1,"subscription":{"volume":"200"}})";
  cut.omitted = R"(["bio","subscription.notes"])";
  assert_true(field("{to: bio, default: x}", cut).state == State::absent);
  assert_true(field("{to: n, from: subscription.notes, default: x}", cut).state == State::absent);
  // Half an object is as bad as none; its other members are whole.
  assert_true(field("subscription", cut).state == State::absent);
  assert_text(field("{to: v, from: subscription.volume}", cut).text, "200");
  assert_text(field("{to: bio, value: c}", cut).text, "c");
  assert_true(field("{to: b, from: biography, default: x}", cut).state == State::value);
  assert_holds(refused("{to: bio, required: true}", cut), "capture left it out");
}

void test_of_several_paths_the_first_that_has_a_value_counts(void**) {
  assert_text(field("{to: n, from: [company, gone, email], trim: true}").text, "Test@Example.COM");
  assert_true(field("{to: n, from: [gone, company]}").state == State::null);
  assert_true(field("{to: n, from: [gone, away]}").state == State::absent);
  assert_text(refused("{to: n, from: [gone, away], required: true}"),
              "field n is required, but the body has no gone, away");
  // Had the first been in the event, it would have counted: the second is no answer.
  Event cut = event();
  cut.omitted = R"(["gone"])";
  assert_true(field("{to: n, from: [gone, email], default: x}", cut).state == State::absent);
}

void test_lookup_replaces_values_and_refuses_unknown_ones_without_a_default(void**) {
  const std::string plans = "lookup: {'200': basic, '500': 2.50, none: null}";
  assert_text(field("{to: plan, from: subscription.volume, " + plans + "}").text, "basic");
  const FieldValue number = field("{to: plan, value: 500, " + plans + "}");
  assert_true(number.number);
  assert_text(number.text, "2.50");
  assert_true(field("{to: plan, value: none, " + plans + "}").state == State::null);
  assert_text(field("{to: plan, from: $op, default: other, " + plans + "}").text, "other");
  assert_text(field("{to: plan, from: $op, default: none, lookup: {update: 1}, as: integer}").text, "none");
  const std::string why = refused("{to: plan, from: email, " + plans + "}");
  assert_text(why, "field plan is not in its lookup, and there is no default");
}

void test_conversion_that_fails_names_field_and_rule_never_the_value(void**) {
  assert_text(field("{to: v, from: subscription.volume, as: integer}").text, "200");
  assert_true(field("{to: v, from: subscription.volume, as: integer}").number);
  const std::string why = refused("{to: v, from: email, as: integer}");
  assert_text(why, "field v is not a whole number");
}

void test_rules_for_one_field_count_in_order_of_their_conditions(void**) {
  const std::string rules =
      "{to: state, value: gone, when: {op: delete}}, {to: state, value: new, when: {action: Signup}}, "
      "{to: state, value: old}, id";
  assert_int_equal(good_table("[" + rules + "]").names().size(), 2);
  assert_text(field(rules).text, "new");
  Event other = event();
  other.op = Op::remove;
  assert_text(field(rules, other).text, "gone");
  other.op = Op::update;
  other.routing_key = "Frontend.Customer.Update";
  assert_text(field(rules, other).text, "old");
  assert_true(field("{to: x, value: 1, when: {op: delete}}").state == State::absent);
}

void test_mistakes_in_the_table_are_told(void**) {
  std::vector<Problem> problems;
  table_of(
      "[id, {to: id, from: x}, {to: a, from: $nonsense}, {to: b, from: a..b}, {to: c, from: x, value: 1}, {from: q}, "
      "{to: d, lookup: [1]}, {to: e, value: x, as: integer}, {to: f, as: int}, {to: g, lookup: {p: x}, as: integer}]",
      problems);
  const std::string all = problems_text(problems);
  for (const char* part :
       {"field id: it stands here twice", "field a: $nonsense is no part of an event",
        "field b: the path has an empty step", "field c: give either value or from",
        "fields[6]: to is required and missing", "t.yaml:1: error: ", "field d: lookup: expected a map",
        "field e: the constant is not a whole number", "field g: lookup: what stands for p is not a whole number",
        "fields[9].as: expected one of text, integer"}) {
    assert_holds(all, part);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_shorthand_takes_the_member_of_that_name),
      checked(test_names_stand_in_the_order_of_the_table),
      checked(test_fields_know_whether_they_copy_and_whether_the_event_matters),
      checked(test_paths_reach_into_objects_and_lists),
      checked(test_null_and_absent_are_told_apart),
      checked(test_default_stands_in_for_absent_and_null),
      checked(test_constant_keeps_its_kind),
      checked(test_lower_and_trim_touch_texts_only),
      checked(test_facts_of_the_event_are_fields),
      checked(test_required_field_missing_names_field_and_rule_never_values),
      checked(test_omitted_member_is_absent_and_gets_no_default),
      checked(test_of_several_paths_the_first_that_has_a_value_counts),
      checked(test_lookup_replaces_values_and_refuses_unknown_ones_without_a_default),
      checked(test_conversion_that_fails_names_field_and_rule_never_the_value),
      checked(test_rules_for_one_field_count_in_order_of_their_conditions),
      checked(test_mistakes_in_the_table_are_told),
  };
  return cmocka_run_group_tests_name("mapping", tests, nullptr, nullptr);
}
